#!/bin/bash
# Installs the peers under $PEERS (default ~/.cache/stream-peers), builds the programs that drive them, and makes the data. Needs Java 17, rustc, python3 with pip; about 3 GB of disk.
set -e
PEERS=${PEERS:-$HOME/.cache/stream-peers}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$PEERS"
if [ ! -d "$PEERS/spark/pyspark/jars" ]; then
  python3 -m venv "$PEERS/venv"
  "$PEERS/venv/bin/pip" install -q pyspark==4.3.0
  mkdir -p "$PEERS/spark"
  ln -sfn "$("$PEERS/venv/bin/python" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')" "$PEERS/spark/pyspark"
fi
if [ ! -d "$PEERS/flink/pyflink/lib" ] && [ "${FLINK:-1}" = 1 ]; then
  python3 -m pip download -q --no-deps -d "$PEERS/wheels" apache-flink-libraries==2.3.0
  (cd "$PEERS" && mkdir -p flink && cd flink && python3 -m zipfile -e ../wheels/apache_flink_libraries-*.whl .)
  rm -rf "$PEERS/wheels"
fi
mkdir -p "$PEERS/bench/data"
"$here/build.sh"
cd "$PEERS/bench"
[ -f data/w1.txt ] || bin/kit gen-w1 --out data/w1.txt
[ -f data/w2.txt ] || bin/kit gen-w2 --out data/w2.txt
[ -f data/w3.txt ] || bin/kit gen-w3 --out data/w3.txt
echo "ready: python3 Tools/peers/run.py w1a spark"
