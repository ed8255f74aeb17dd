# What plans/local-ha needs to be told in the test bed: where this bed's Kubernetes, packages and images are.
kubernetes_version = "1.20.2"
cidr               = "10.77.0.0/24" # its first address is where the bed serves
nat                = false

package_source = { kind = "apt", uri = "http://10.77.0.1/k8s", suite = "./", trusted = true }

containerd = {
  registry_mirrors = { "k8s.gcr.io" = "http://10.77.0.1", "docker.io" = "http://10.77.0.1" }
}
