# What ties a cluster to its OpenStack: the cloud controller manager, which takes the nodes over and makes load balancers of Services; Cinder's CSI driver, if
# wanted; and the sweep, which lets what these have made go before the cluster does.
#
# The order: the manager needs an API server and nothing else. It is on hosts' networks and tolerates nodes that are not ready and not taken over yet, which
# all that is in the pods' network waits for. The driver comes when nodes are Ready. The sweep comes last, and so goes first.

locals {
  minor = join(".", slice(split(".", var.kubernetes_version), 0, 2))

  # cloud-provider-openstack has a release for each minor one of Kubernetes.
  releases = {
    "1.28" = "v1.28.3", "1.29" = "v1.29.1", "1.30" = "v1.30.3", "1.31" = "v1.31.4", "1.32" = "v1.32.1", "1.33" = "v1.33.1",
    "1.34" = "v1.34.1", "1.35" = "v1.35.0", "1.36" = "v1.36.0"
  }
  release = var.release != null ? var.release : lookup(local.releases, local.minor, "")

  # cloud.conf but for the secret. A credential's secret never changes: another one is another credential.
  conf = templatefile("${path.module}/manifests/cloud.conf", {
    auth_url            = var.auth_url
    region              = var.region
    credential_id       = var.application_credential_id
    ca_certificate      = var.ca_certificate
    network             = var.network
    subnet_id           = var.subnet_id
    floating_network_id = var.floating_network_id
    ignore_volume_az    = var.ignore_volume_az
  })
  conf_sum = sha256("${local.conf}${var.ca_certificate == null ? "" : var.ca_certificate}")

  # gcfg's strings.
  secret = var.application_credential_secret == null ? "" : replace(replace(var.application_credential_secret, "\\", "\\\\"), "\"", "\\\"")
}

resource "kube_secret" "cloud_config" {
  cluster   = var.cluster
  name      = "cloud-config"
  namespace = "kube-system"

  # Told to the API, and stored nowhere.
  data_wo = merge(
    { "cloud.conf" = replace(local.conf, "@secret@", local.secret) },
    var.ca_certificate == null ? {} : { "ca.pem" = var.ca_certificate },
  )
  data_wo_version = parseint(substr(local.conf_sum, 0, 8), 16)

  lifecycle {
    precondition {
      condition     = var.application_credential_secret != null
      error_message = "The secret of the application credential is missing: it is given to each plan, best as TF_VAR_application_credential_secret."
    }
  }
}

resource "kube_manifest" "controller" {
  cluster = var.cluster
  wait    = true
  timeout = var.timeout

  manifest = templatefile("${path.module}/manifests/cloud-controller-manager.yaml", {
    image        = "${var.image_registry}/provider-os/openstack-cloud-controller-manager:${local.release}"
    cluster_name = var.cluster_name
    conf_sum     = local.conf_sum
  })

  lifecycle {
    precondition {
      condition     = local.release != ""
      error_message = "No release of cloud-provider-openstack is known for Kubernetes ${local.minor}: name one by release."
    }
  }

  depends_on = [kube_secret.cloud_config]
}

resource "kube_manifest" "csi" {
  count = var.cinder_csi ? 1 : 0

  cluster = var.cluster
  wait    = true
  timeout = var.timeout

  manifest = templatefile("${path.module}/manifests/cinder-csi.yaml", {
    image         = "${var.image_registry}/provider-os/cinder-csi-plugin:${local.release}"
    sidecars      = "${var.image_registry}/sig-storage"
    cluster_name  = var.cluster_name
    conf_sum      = local.conf_sum
    storage_class = var.storage_class
    volume_type   = var.volume_type
  })

  depends_on = [var.ready, kube_manifest.controller]
}

resource "kube_sweep" "this" {
  cluster          = var.cluster
  when_unreachable = var.when_unreachable
  timeout          = var.sweep_timeout

  depends_on = [var.ready, kube_manifest.controller, kube_manifest.csi]
}
