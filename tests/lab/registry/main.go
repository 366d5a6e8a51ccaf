// An OCI registry as operators run it: the server of the reference implementation, with nothing but what the lab needs of it. It keeps
// what is pushed in a folder, so that it is there after a restart, and asks everybody for the login that stands in a file.
//
//	registry --listen 127.0.0.1:5000 --folder FOLDER --login FILE
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"golang.org/x/crypto/bcrypt"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:5000", "the address to listen on")
	folder := flag.String("folder", "", "where everything that is pushed is kept")
	login := flag.String("login", "", "a file with USER:PASSWORD")
	flag.Parse()
	if err := serve(*listen, *folder, *login); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func serve(listen, folder, login string) error {
	passwords, err := passwords(folder, login)
	if err != nil {
		return err
	}
	config := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": filepath.Join(folder, "content")},
			"delete":     configuration.Parameters{"enabled": true},
		},
		Auth: configuration.Auth{
			"htpasswd": configuration.Parameters{"realm": "lab", "path": passwords},
		},
	}
	config.HTTP.Addr = listen
	config.HTTP.Secret = "lab"
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	server, err := registry.NewRegistry(context.Background(), config)
	if err != nil {
		return err
	}
	return server.ListenAndServe()
}

// The registry reads passwords as htpasswd writes them.
func passwords(folder, login string) (string, error) {
	text, err := os.ReadFile(login)
	if err != nil {
		return "", err
	}
	user, password, found := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !found {
		return "", errors.New("the file of --login holds no USER:PASSWORD")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "htpasswd")
	return path, os.WriteFile(path, []byte(user+":"+string(hash)+"\n"), 0o600)
}
