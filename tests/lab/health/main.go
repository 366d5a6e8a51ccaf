// Tells how other tools see an object: by kstatus, which Flux and others use, or by a Lua script as Argo CD runs them.
//
//	health kstatus < object.json
//	health lua SCRIPT < object.json
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	found, err := look(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func look(args []string) (answer, error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return answer{}, err
	}
	// Whole numbers stay whole, as in the tools' own caches.
	var object map[string]any
	if err := kubejson.Unmarshal(text, &object); err != nil {
		return answer{}, err
	}
	switch {
	case len(args) == 1 && args[0] == "kstatus":
		return byKstatus(object)
	case len(args) == 2 && args[0] == "lua":
		return byLua(args[1], object)
	default:
		return answer{}, fmt.Errorf("usage: health kstatus, or health lua SCRIPT, with an object on standard input")
	}
}

func byKstatus(object map[string]any) (answer, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return answer{}, err
	}
	return answer{result.Status.String(), result.Message}, nil
}

// The script sees the object as the global `obj` and returns a table with `status` and `message`, as in Argo CD.
func byLua(script string, object map[string]any) (answer, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString}} {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoFile(script); err != nil {
		return answer{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return answer{}, fmt.Errorf("%s returned no table", script)
	}
	return answer{table.RawGetString("status").String(), table.RawGetString("message").String()}, nil
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(from)
	case float64:
		return lua.LNumber(from)
	case int64:
		return lua.LNumber(from)
	case bool:
		return lua.LBool(from)
	default:
		return lua.LNil
	}
}
