// minicni is a network of plain routes for nodes on one link: the least that makes a cluster's pods reach each other.
//
// On every node it gives Debian's bridge, host-local and portmap plugins the node's own range of addresses, and keeps a route to
// the range of every other node, through that node's address. What leaves the pods' ranges takes the node's address.
// There are no network policies, and no encapsulation: nodes must share a link.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	folder = "/etc/cni/net.d"
	chain  = "MINICNI"
	// Nodes wait for their network: one that has got its range should not wait for us.
	pause = 500 * time.Millisecond
)

// conflist is written when the node's range is known: kubelet says that the network is ready as soon as it is there.
const conflist = `{
  "cniVersion": "0.4.0",
  "name": "minicni",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	// A connection to the API's virtual address that was begun before kube-proxy knew it never comes to be: give up
	// early, and begin another.
	config.Timeout = 2 * time.Second
	client := kubernetes.NewForConfigOrDie(config)
	name := os.Getenv("NODE_NAME")

	var done map[string]net.IP
	for ; ; time.Sleep(pause) {
		// Version 0: the API server answers from memory.
		nodes, err := client.CoreV1().Nodes().List(context.TODO(), metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			fmt.Println("nodes:", err)
			continue
		}
		ranges := rangesOf(nodes.Items)
		if reflect.DeepEqual(ranges, done) {
			continue
		}
		if err := apply(name, nodes.Items, ranges); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ranges:", ranges)
		done = ranges
	}
}

// rangesOf gives the nodes' ranges of pod addresses, each with the address of its node.
func rangesOf(nodes []corev1.Node) map[string]net.IP {
	ranges := map[string]net.IP{}
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if ip := net.ParseIP(address.Address); address.Type == corev1.NodeInternalIP && node.Spec.PodCIDR != "" && ip != nil {
				ranges[node.Spec.PodCIDR] = ip
			}
		}
	}
	return ranges
}

func apply(name string, nodes []corev1.Node, ranges map[string]net.IP) error {
	own := ""
	for _, node := range nodes {
		if node.Name == name {
			own = node.Spec.PodCIDR
		}
	}
	if own == "" {
		return fmt.Errorf("node %q has no range of pod addresses yet", name)
	}
	for cidr, gateway := range ranges {
		if cidr == own {
			continue
		}
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		if err := netlink.RouteReplace(&netlink.Route{Dst: network, Gw: gateway}); err != nil {
			return fmt.Errorf("route to %s by %s: %v", cidr, gateway, err)
		}
	}
	if err := masquerade(own, ranges); err != nil {
		return err
	}
	return write(fmt.Sprintf(conflist, own))
}

// masquerade lets what comes from the node's own pods keep its address among pods, and take the node's outside.
func masquerade(own string, ranges map[string]net.IP) error {
	var rules bytes.Buffer
	// Naming the chain empties it: the table changes in one step.
	fmt.Fprintf(&rules, "*nat\n:%s - [0:0]\n", chain)
	for cidr := range ranges {
		fmt.Fprintf(&rules, "-A %s -d %s -j RETURN\n", chain, cidr)
	}
	fmt.Fprintf(&rules, "-A %s -j MASQUERADE\nCOMMIT\n", chain)
	if err := run(&rules, "iptables-restore", "-w", "5", "--noflush"); err != nil {
		return err
	}
	jump := []string{"POSTROUTING", "-s", own, "-j", chain}
	if run(nil, "iptables", append([]string{"-w", "5", "-t", "nat", "-C"}, jump...)...) == nil {
		return nil
	}
	return run(nil, "iptables", append([]string{"-w", "5", "-t", "nat", "-A"}, jump...)...)
}

func run(input *bytes.Buffer, program string, args ...string) error {
	command := exec.Command(program, args...)
	if input != nil {
		command.Stdin = input
	}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %v: %s", program, args, err, output)
	}
	return nil
}

// write puts the file in place whole: the runtime reads it the moment it appears.
func write(content string) error {
	beside := filepath.Join(folder, ".minicni")
	if err := os.WriteFile(beside, []byte(content), 0644); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Join(folder, "10-minicni.conflist"))
}
