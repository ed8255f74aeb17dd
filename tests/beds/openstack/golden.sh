# The bed's state right after its first start, to start from, and the files that start it.
mkdir -p "$OUT/bed"
cp -r "$FILES/." "$OUT/bed"
"$VENV/venv/bin/python" "$FILES/bed.py" golden --venv "$VENV/venv" --folder "$TMP/bed" --address "$ADDRESS"
mv "$TMP/bed/state" "$OUT/state"
