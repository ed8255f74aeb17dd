# OpenStack and its clients, each at the release that requirements.lock pins, in a virtual environment that may be moved.
unset PYTHONPATH VIRTUAL_ENV
/usr/bin/python3 -m venv "$TMP/tools"
"$TMP/tools/bin/pip" install -q "uv==$UV"
export UV_CACHE_DIR=$CACHE/uv UV_LINK_MODE=copy UV_NO_PROGRESS=1
mkdir -p "$OUT/venv"
"$TMP/tools/bin/uv" venv -q --relocatable --allow-existing -p /usr/bin/python3 "$OUT/venv"
export VIRTUAL_ENV=$OUT/venv
"$TMP/tools/bin/uv" pip install -q --compile-bytecode -r "$FILES/requirements.lock"
site=$(echo "$OUT"/venv/lib/python3*/site-packages)

# Neutron finds its drivers by their packages' entry points.
cp "$FILES/loopbind.py" "$site"
mkdir "$site/loopbind-1.dist-info"
printf 'Metadata-Version: 2.1\nName: loopbind\nVersion: 1\n' > "$site/loopbind-1.dist-info/METADATA"
printf '[neutron.ml2.mechanism_drivers]\nloopbind = loopbind:LoopBind\n' > "$site/loopbind-1.dist-info/entry_points.txt"

# oslo.messaging asks for the replies of calls every half second: ask every 5 ms, and everything is six times faster.
driver=$site/oslo_messaging/_drivers/amqpdriver.py
sed -i '/lp-2035113/,/time.sleep(0.5)/s/time.sleep(0.5)/time.sleep(0.005)/' "$driver"
grep -q 'time.sleep(0.005)' "$driver"
"$OUT/venv/bin/python" -m compileall -q "$driver" "$site/loopbind.py"
