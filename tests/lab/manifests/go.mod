// Definitions of others' resources, as their projects publish them. Nothing is compiled: only files are taken from the modules.
module belay.dev/lab/manifests

go 1.26.7

require (
	github.com/argoproj/argo-rollouts v1.9.2
	github.com/fluxcd/flagger v1.43.0
	github.com/kedacore/keda/v2 v2.21.0
	github.com/traefik/traefik/v3 v3.6.12
	istio.io/api v1.31.4
	sigs.k8s.io/gateway-api v1.6.3
)
