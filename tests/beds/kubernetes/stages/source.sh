# Kubernetes' source, from Debian's own source package, as a GOPATH: $OUT/src/k8s.io/kubernetes.
cd "$TMP"
private_apt get source -q --only-source kubernetes
mkdir -p "$OUT/src/k8s.io"
mv kubernetes-1.20*/ "$OUT/src/k8s.io/kubernetes"

# The vendored reflect2 1.0.1 crashes when it is built with Go 1.18 or newer: Debian's 1.0.2 takes its place.
private_apt get download -q golang-github-modern-go-reflect2-dev
dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb reflect2
vendored=$OUT/src/k8s.io/kubernetes/vendor/github.com/modern-go/reflect2
rm -f "$vendored"/*.go "$vendored"/*.s
cp reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$vendored/"
rm -f "$vendored"/*_test.go

# Deep copies, defaults, conversions and OpenAPI are not in the source: Kubernetes' own generators write them.
cd "$OUT/src/k8s.io/kubernetes"
unset GOFLAGS GO111MODULE GOROOT
export GOPATH=$OUT GOCACHE=$CACHE/go-build CGO_ENABLED=0 PATH=/usr/lib/go/bin:$PATH
make generated_files
# The generators themselves are done with.
rm -rf _output
