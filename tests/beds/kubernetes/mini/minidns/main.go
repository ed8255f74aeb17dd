// minidns answers for a cluster's Services, in coredns' place: under kubeadm's own Deployment, Service and permissions.
//
// It knows the A records of Services, and of the pods behind a headless one, below cluster.local; all else does not exist. The
// Corefile is not read. Ports are those that the Deployment probes: health on 8080, readiness on 8181.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
)

const (
	zone = "svc.cluster.local."
	ttl  = 5 // seconds
)

// records are the API's objects that answers are made of.
type records struct {
	services  listers.ServiceLister
	endpoints listers.EndpointsLister
}

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		fail(err)
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	services, endpoints := factory.Core().V1().Services(), factory.Core().V1().Endpoints()
	synced := []func() bool{services.Informer().HasSynced, endpoints.Informer().HasSynced}
	r := records{services.Lister(), endpoints.Lister()}
	factory.Start(make(chan struct{}))

	go serveHTTP(":8080", func() bool { return true })
	go serveHTTP(":8181", func() bool { return synced[0]() && synced[1]() })
	dns.HandleFunc(".", r.answer)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: ":53", Net: network}
		go func() { fail(server.ListenAndServe()) }()
	}
	select {}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serveHTTP(address string, good func() bool) {
	fail(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !good() {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "OK")
	})))
}

func (r records) answer(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.Authoritative = true
	reply.Rcode = dns.RcodeNameError
	if len(query.Question) == 1 {
		question := query.Question[0]
		if addresses, exists := r.lookup(strings.ToLower(question.Name)); exists {
			reply.Rcode = dns.RcodeSuccess
			for _, address := range addresses {
				if ip := net.ParseIP(address).To4(); ip != nil && question.Qtype == dns.TypeA {
					header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}
					reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: ip})
				}
			}
		}
	}
	// A client that has gone asks again.
	_ = w.WriteMsg(reply)
}

// lookup finds SERVICE.NAMESPACE, and POD.SERVICE.NAMESPACE of a headless service, below the zone.
func (r records) lookup(name string) (addresses []string, exists bool) {
	if !strings.HasSuffix(name, "."+zone) {
		return nil, false
	}
	labels := strings.Split(strings.TrimSuffix(name, "."+zone), ".")
	if len(labels) < 2 || len(labels) > 3 {
		return nil, false
	}
	pod, at := "", labels[len(labels)-2:]
	if len(labels) == 3 {
		pod = labels[0]
	}
	service, err := r.services.Services(at[1]).Get(at[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != "None" {
		return []string{service.Spec.ClusterIP}, pod == ""
	}
	endpoints, err := r.endpoints.Endpoints(at[1]).Get(at[0])
	if err != nil {
		return nil, pod == ""
	}
	for _, subset := range endpoints.Subsets {
		for _, address := range subset.Addresses {
			if pod == "" || pod == address.Hostname {
				addresses = append(addresses, address.IP)
			}
		}
	}
	return addresses, pod == "" || len(addresses) > 0
}
