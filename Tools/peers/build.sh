#!/bin/bash
# Builds every peer program into $PEERS/bench/bin; about a minute.  build.sh [kit|spark|flink]
set -e
cd "$(dirname "$0")"
PEERS=${PEERS:-$HOME/.cache/stream-peers}; J=$PEERS/spark/pyspark/jars; F=$PEERS/flink/pyflink
out=$PEERS/bench/bin
mkdir -p "$out"
what=${1:-all}
if [ $what = all -o $what = kit ]; then rustc -O -C target-cpu=native kit/kit.rs -o "$out/kit"; fi
if [ $what = all -o $what = spark ]; then rm -rf "$out/spark"; mkdir -p "$out/spark"; java -Xss8m -cp "$J/*" scala.tools.nsc.Main -usejavacp -opt:inline:'!scala.**' -release 17 -nowarn -d "$out/spark" spark/*.scala; fi
if [ $what = all -o $what = flink ]; then rm -rf "$out/flink"; mkdir -p "$out/flink"; javac -nowarn -cp "$F/lib/*:$F/opt/*" -d "$out/flink" flink/*.java; fi
