# The rules of ../validating-admission-policy/policy.yaml in Rego, for Conftest in CI, for OPA and for Gatekeeper:
#
#   registry-gate export-admitted --format rego-data --output admitted.json
#   conftest test --namespace registry_gate --policy registry_gate.rego --data admitted.json pod.yaml
#
# `input` is a manifest, an admission request (input.request.object) or a Gatekeeper review (input.review.object).
# `data.registry_gate_admitted` is the exported list; without it everything is refused.
package registry_gate

import rego.v1

kinds := {"Pod", "ReplicationController", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

default manifest := {}

manifest := input.request.object

manifest := input.review.object if not input.request.object

manifest := input if {
	not input.request.object
	not input.review.object
}

judged if manifest.kind in kinds

template := manifest if manifest.kind == "Pod"

template := manifest.spec.jobTemplate.spec.template if manifest.kind == "CronJob"

template := manifest.spec.template if not manifest.kind in {"Pod", "CronJob"}

default spec := {}

spec := template.spec

annotations := object_or_empty(template, ["metadata", "annotations"])

pod := object_or_empty(spec, ["securityContext"])

inits := list_or_empty(spec, "initContainers")

servers := list_or_empty(spec, "containers")

volumes := list_or_empty(spec, "volumes")

everyone := array.concat(array.concat(inits, servers), list_or_empty(spec, "ephemeralContainers"))

pullers := [c | some c in inits; c.name == "registry-gate-pull"]

others := array.concat(
	array.concat([c | some c in inits; not c.name == "registry-gate-pull"], servers),
	list_or_empty(spec, "ephemeralContainers"),
)

default model := ""

model := annotations["registry-gate.dev/model"]

default admitted := []

admitted := data.registry_gate_admitted.models

default gate_images := []

gate_images := data.registry_gate_admitted.gate_images

object_or_empty(from, path) := found if {
	found := object_at(from, path)
	is_object(found)
} else := {}

object_at(from, path) := from[path[0]] if count(path) == 1

object_at(from, path) := from[path[0]][path[1]] if count(path) == 2

list_or_empty(from, field) := found if {
	found := from[field]
	is_array(found)
} else := []

has(from, field) if field in object.keys(from)

# What a container's own security context says, else what the pod's says.
own_or_pod(container, field) := container.securityContext[field]

own_or_pod(container, field) := pod[field] if not has(object_or_empty(container, ["securityContext"]), field)

deny contains message if {
	judged
	some code in violations
	message := sprintf("%s: %s", [code, messages[code]])
}

# A manifest that holds no pod to judge is not one that passes.
violations contains "no-pod" if {
	judged
	count(spec) == 0
}

violations contains "model-not-pinned" if {
	judged
	not pinned
}

pinned if {
	regex.match(`^[a-z0-9][a-z0-9._-]*@sha256:[0-9a-f]{64}$`, model)
	not contains(model, "\n")
}

violations contains "model-not-admitted" if {
	judged
	not model in admitted
}

violations contains "puller-missing" if {
	judged
	not puller_first
}

puller_first if {
	count(pullers) == 1
	inits[0].name == "registry-gate-pull"
}

violations contains "puller-image" if {
	judged
	some c in pullers
	not c.image in gate_images
}

violations contains "puller-command" if {
	judged
	some c in pullers
	not plain_pull(c)
}

plain_pull(c) if {
	count(object.keys(c) & {"command", "workingDir", "lifecycle", "restartPolicy", "restartPolicyRules"}) == 0
	c.args == ["pull", concat("", ["models:/", model]), "/models/model"]
}

violations contains "puller-environment" if {
	judged
	some c in pullers
	not plain_environment(c)
}

puller_variables := {
	"REGISTRY_GATE_REGISTRY_URI",
	"MLFLOW_TRACKING_USERNAME",
	"MLFLOW_TRACKING_PASSWORD",
	"MLFLOW_TRACKING_TOKEN",
}

plain_environment(c) if {
	not has(c, "envFrom")
	every variable in list_or_empty(c, "env") {
		variable.name in puller_variables
	}
}

violations contains "puller-mounts" if {
	judged
	some c in pullers
	not plain_mounts(c)
}

plain_mounts(c) if {
	not has(c, "volumeDevices")
	mounts := {[m.name, m.mountPath] | some m in c.volumeMounts}
	["model", "/models"] in mounts
	every m in c.volumeMounts {
		[m.name, m.mountPath] in {["model", "/models"], ["tmp", "/tmp"]}
		count(object.keys(m) & {"subPath", "subPathExpr"}) == 0
	}
}

violations contains "model-volume" if {
	judged
	not model_volume
}

model_volume if {
	some v in volumes
	v.name == "model"
	every w in volumes {
		own_folder(w)
	}
}

own_folder(v) if has(v, "emptyDir")

own_folder(v) if not v.name in {"model", "tmp"}

violations contains "model-not-mounted" if {
	judged
	not model_mounted
}

model_mounted if {
	some c in servers
	some m in c.volumeMounts
	m.name == "model"
}

violations contains "model-writable" if {
	judged
	some c in others
	some m in c.volumeMounts
	m.name == "model"
	not m.readOnly == true
}

violations contains "model-shadowed" if {
	judged
	some c in others
	some m in c.volumeMounts
	not plain_path(m.mountPath)
}

violations contains "model-shadowed" if {
	judged
	some c in others
	some m in c.volumeMounts
	m.name == "model"
	not at_models(m.mountPath)
}

violations contains "model-shadowed" if {
	judged
	some c in others
	some m in c.volumeMounts
	not m.name == "model"
	at_models(m.mountPath)
}

plain_path(path) if {
	regex.match(`^/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`, path)
	not regex.match(`/[.][.]?(/|$)`, path)
	not contains(path, "\n")
}

at_models(path) if path == "/models"

at_models(path) if startswith(path, "/models/")

violations contains "volume-type" if {
	judged
	some v in volumes
	not harmless_volume(v)
}

harmless_volume(v) if {
	count(object.keys(v) & {"emptyDir", "configMap", "secret", "downwardAPI", "projected"}) > 0
	count(object.keys(v) & {"hostPath", "persistentVolumeClaim", "csi", "ephemeral", "nfs", "image"}) == 0
}

violations contains "service-account-token" if {
	judged
	not spec.automountServiceAccountToken == false
}

violations contains "service-account-token" if {
	judged
	some v in volumes
	some source in v.projected.sources
	has(source, "serviceAccountToken")
}

violations contains "host-namespace" if {
	judged
	some field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
	spec[field] == true
}

violations contains "host-port" if {
	judged
	some c in everyone
	some port in c.ports
	not object.get(port, "hostPort", 0) == 0
}

violations contains "windows" if {
	judged
	has(spec, "os")
	not spec.os.name == "linux"
}

violations contains "windows" if {
	judged
	has(pod, "windowsOptions")
}

violations contains "windows" if {
	judged
	some c in everyone
	has(object_or_empty(c, ["securityContext"]), "windowsOptions")
}

violations contains "kernel-settings" if {
	judged
	some field in ["sysctls", "seLinuxOptions"]
	has(pod, field)
}

violations contains "kernel-settings" if {
	judged
	pod.appArmorProfile.type == "Unconfined"
}

violations contains "kernel-settings" if {
	judged
	some name, value in annotations
	startswith(name, "container.apparmor.security.beta.kubernetes.io/")
	value == "unconfined"
}

violations contains "kernel-settings" if {
	judged
	some c in everyone
	has(object_or_empty(c, ["securityContext"]), "seLinuxOptions")
}

violations contains "kernel-settings" if {
	judged
	some c in everyone
	not object.get(object_or_empty(c, ["securityContext"]), "procMount", "Default") == "Default"
}

violations contains "kernel-settings" if {
	judged
	some c in everyone
	c.securityContext.appArmorProfile.type == "Unconfined"
}

violations contains "image-not-pinned" if {
	judged
	some c in everyone
	not image_pinned(c)
}

image_pinned(c) if {
	regex.match(`^[^@ ]+@sha256:[0-9a-f]{64}$`, c.image)
	not contains(c.image, "\n")
}

violations contains "runs-as-root" if {
	judged
	pod.runAsUser == 0
}

violations contains "runs-as-root" if {
	judged
	some c in everyone
	c.securityContext.runAsUser == 0
}

violations contains "runs-as-root" if {
	judged
	some c in everyone
	not own_or_pod(c, "runAsNonRoot") == true
}

violations contains "root-group" if {
	judged
	some field in ["runAsGroup", "fsGroup"]
	pod[field] == 0
}

violations contains "root-group" if {
	judged
	0 in pod.supplementalGroups
}

violations contains "root-group" if {
	judged
	some c in everyone
	c.securityContext.runAsGroup == 0
}

violations contains "privilege-escalation" if {
	judged
	some c in everyone
	not c.securityContext.allowPrivilegeEscalation == false
}

violations contains "privilege-escalation" if {
	judged
	some c in everyone
	c.securityContext.privileged == true
}

violations contains "capabilities" if {
	judged
	some c in everyone
	not "ALL" in c.securityContext.capabilities.drop
}

violations contains "capabilities" if {
	judged
	some c in everyone
	count(c.securityContext.capabilities.add) > 0
}

violations contains "writable-root" if {
	judged
	some c in everyone
	not c.securityContext.readOnlyRootFilesystem == true
}

violations contains "seccomp" if {
	judged
	some c in everyone
	not own_or_pod(c, "seccompProfile").type in {"RuntimeDefault", "Localhost"}
}

messages := {
	"no-pod": "there is no pod here to judge",
	"model-not-pinned": "annotate the pod with registry-gate.dev/model: <registered name>@sha256:<manifest digest>",
	"model-not-admitted": "this model is not in the list of admitted models; admit it, then export the list again",
	"puller-missing": "the first init container must be registry-gate-pull, and there must be one",
	"puller-image": "registry-gate-pull must run an image of the gate that is listed beside the admitted models",
	"puller-command": "registry-gate-pull must run to its end, with just the arguments: pull models:/<the annotation> /models/model",
	"puller-environment": "registry-gate-pull takes the registry's address and credentials from the environment, nothing else",
	"puller-mounts": "registry-gate-pull mounts the volume model at /models, and at most tmp at /tmp, whole",
	"model-volume": "the volume model, and tmp where there is one, must be an emptyDir",
	"model-not-mounted": "no container mounts the volume model: what it serves is not what was verified",
	"model-writable": "every container but registry-gate-pull mounts the volume model with readOnly: true",
	"model-shadowed": "the volume model is mounted at /models and nowhere else, and nothing is mounted over it",
	"volume-type": "volumes are emptyDir, configMap, secret, downwardAPI or projected: models come from the gate alone",
	"service-account-token": "set automountServiceAccountToken: false and project no token: serving needs no access to the API",
	"host-namespace": "the pod may not share the host's network, processes or IPC, nor its containers' processes",
	"host-port": "no container may take a port of the host",
	"windows": "none of these rules holds on Windows nodes",
	"kernel-settings": "no sysctls, unmasked /proc, unconfined AppArmor or SELinux labels of the pod's own",
	"image-not-pinned": "name every image by digest: <image>@sha256:<64 lower-case hexadecimal digits>",
	"runs-as-root": "runAsNonRoot must be true for every container, and no runAsUser may be 0",
	"root-group": "no container may run in group 0",
	"privilege-escalation": "allowPrivilegeEscalation must be false, in words, for every container, and none may be privileged",
	"capabilities": "every container must drop ALL capabilities and add none",
	"writable-root": "readOnlyRootFilesystem must be true for every container",
	"seccomp": "seccompProfile must be RuntimeDefault or Localhost for every container",
}
