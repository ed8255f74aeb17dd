// minicrictl is crictl as kubeadm calls it, and as a person looks at a node with it: on kubelet's own client of container runtimes.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
	"k8s.io/kubernetes/pkg/kubelet/cri/remote"
)

const usage = "usage: crictl [-r SOCKET] [-q] info | images | inspecti IMAGE | pull IMAGE | pods | stopp POD | rmp POD | ps | stop CONTAINER | rm CONTAINER | logs CONTAINER"

// options are the words of the command line that begin with a dash; the others are arguments.
type options struct {
	socket    string
	quiet     bool
	arguments []string
}

func parse(words []string) options {
	o := options{socket: "/run/containerd/containerd.sock"}
	if socket := os.Getenv("CONTAINER_RUNTIME_ENDPOINT"); socket != "" {
		o.socket = socket
	}
	for i := 0; i < len(words); i++ {
		word, value := words[i], ""
		if at := strings.Index(word, "="); at > 0 && strings.HasPrefix(word, "-") {
			word, value = word[:at], word[at+1:]
		}
		switch word {
		case "-r", "--runtime-endpoint", "-i", "--image-endpoint":
			if value == "" && i+1 < len(words) {
				i++
				value = words[i]
			}
			o.socket = value
		case "-q", "--quiet":
			o.quiet = true
		case "-a", "--all": // as we always do
		default:
			o.arguments = append(o.arguments, words[i])
		}
	}
	if !strings.Contains(o.socket, "://") {
		o.socket = "unix://" + o.socket
	}
	return o
}

func main() {
	if err := run(parse(os.Args[1:])); err != nil {
		fmt.Fprintln(os.Stderr, "FATA", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if len(o.arguments) == 0 {
		return fmt.Errorf(usage)
	}
	command, names := o.arguments[0], o.arguments[1:]
	if command == "--version" || command == "version" {
		fmt.Println("crictl version v1.13.0 (test bed)")
		return nil
	}
	runtime, err := remote.NewRemoteRuntimeService(o.socket, 30*time.Second)
	if err != nil {
		return err
	}
	images, err := remote.NewRemoteImageService(o.socket, 10*time.Minute)
	if err != nil {
		return err
	}
	each := func(act func(name string) error) error {
		if len(names) == 0 {
			return fmt.Errorf(usage)
		}
		for _, name := range names {
			if err := act(name); err != nil {
				return fmt.Errorf("%s %s: %v", command, name, err)
			}
		}
		return nil
	}
	// line prints an identifier, and what else there is to say unless only those are asked for.
	line := func(id string, others ...interface{}) {
		if o.quiet {
			fmt.Println(id)
		} else {
			fmt.Println(append([]interface{}{id}, others...)...)
		}
	}

	switch command {
	case "info":
		status, err := runtime.Status()
		if err != nil {
			return err
		}
		return show(map[string]interface{}{"status": status})
	case "images":
		list, err := images.ListImages(nil)
		for _, image := range list {
			line(image.Id, strings.Join(image.RepoTags, ","), image.Size_)
		}
		return err
	case "inspecti":
		return each(func(name string) error {
			status, err := images.ImageStatus(&runtimeapi.ImageSpec{Image: name})
			if err == nil && status == nil {
				err = fmt.Errorf("no such image %q present", name)
			}
			if err != nil {
				return err
			}
			return show(map[string]interface{}{"status": status})
		})
	case "pull":
		return each(func(name string) error {
			_, err := images.PullImage(&runtimeapi.ImageSpec{Image: name}, nil, nil)
			return err
		})
	case "pods":
		list, err := runtime.ListPodSandbox(nil)
		for _, pod := range list {
			line(pod.Id, pod.State, pod.Metadata.Namespace+"/"+pod.Metadata.Name, pod.Metadata.Attempt)
		}
		return err
	case "stopp":
		return each(runtime.StopPodSandbox)
	case "rmp":
		return each(runtime.RemovePodSandbox)
	case "ps":
		list, err := runtime.ListContainers(nil)
		for _, c := range list {
			line(c.Id, c.State, c.Labels["io.kubernetes.pod.namespace"]+"/"+c.Labels["io.kubernetes.pod.name"], c.Metadata.Name, c.Metadata.Attempt)
		}
		return err
	case "stop":
		return each(func(name string) error { return runtime.StopContainer(name, 10) })
	case "rm":
		return each(runtime.RemoveContainer)
	case "logs":
		return each(func(name string) error {
			status, err := runtime.ContainerStatus(name)
			if err != nil {
				return err
			}
			log, err := os.Open(status.LogPath)
			if err != nil {
				return err
			}
			defer log.Close()
			_, err = io.Copy(os.Stdout, log)
			return err
		})
	}
	return fmt.Errorf("no such command: %s\n%s", command, usage)
}

func show(value interface{}) error {
	text, err := json.MarshalIndent(value, "", "  ")
	fmt.Println(string(text))
	return err
}
