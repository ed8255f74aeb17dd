# Kubernetes' programs, once for each of $VERSIONS, which are the same source under another name: $OUT/VERSION/kubeadm …
# And what stands in for upstream's other projects: $OUT/minicni …
unset GOFLAGS GO111MODULE GOROOT
export GOPATH=$SOURCE GOCACHE=$CACHE/go-build CGO_ENABLED=0 PATH=/usr/lib/go/bin:$PATH
cd "$SOURCE/src/k8s.io/kubernetes"

# GOPATH mode, as module mode wants to change go.mod. The two tags leave out the cloud providers and dockershim, half of the build.
# -trimpath makes the compiler's cache good for a source anywhere.
build() {
  GO111MODULE=off go build -trimpath -tags "providerless dockerless" "$@"
}

for version in $VERSIONS; do
  flags="-s -w"
  for package in k8s.io/kubernetes/vendor/k8s.io/{client-go/pkg/version,component-base/version}; do
    for x in gitVersion=v$version gitMajor=1 gitMinor=20 gitTreeState=archive buildDate=1970-01-01T00:00:00Z; do
      flags+=" -X $package.$x"
    done
  done
  mkdir -p "$OUT/$version"
  build -ldflags "$flags" -o "$OUT/$version/" $(printf 'k8s.io/kubernetes/cmd/%s ' $PROGRAMS)
  echo "$version: built after $SECONDS s"
done

# They use what Kubernetes vendors, so they must appear to be inside its tree, which stays as it is.
mini=$(cd "$FILES/mini"; echo *)
{
  echo '{"Replace": {'
  comma=""
  for name in $mini; do
    printf '%s"%s/cmd/%s/main.go": "%s/mini/%s/main.go"\n' "$comma" "$PWD" "$name" "$FILES" "$name"
    comma=,
  done
  echo '}}'
} > "$TMP/overlay.json"
build -overlay "$TMP/overlay.json" -ldflags "-s -w" -o "$OUT/" $(printf 'k8s.io/kubernetes/cmd/%s ' $mini)
gcc -Os -static -s -DVERSION=3.2 -o "$OUT/pause" build/pause/linux/pause.c
