#!/usr/bin/env bash
# The first twelve minutes on a GPU, most valuable first:
#
#   benchmarks/gpu.sh [--dry] [FOLDER]
#
# 1. tests/device; 2. iterations of the P10 and P100 recipes and their floors; 3. P10 with all
# methods, one seed each; 4. ResNet-32 on Split CIFAR-10, in as many epochs as fit.
#
# A part that is finished leaves FOLDER/parts/NAME.done and is skipped by the next call; trainings
# go on from their checkpoints. FOLDER is $OUT or gpu-results. At the end FOLDER/summary.txt has
# what was printed and FOLDER/gpu.tar.gz all of it; with that file alone another machine goes on.
# Data sets are taken from HYPERMNESIA_DATA; parts without theirs are left out, which is said.
#
# --dry does all parts with tiny settings on a CPU, without data: whether the script still works.
# PYTHON names the interpreter; the package need not be installed. Needs bash and coreutils.
set -uo pipefail
cd "$(dirname "$0")/.."

dry=''
if [ "${1-}" = --dry ]; then dry=1; shift; fi
if [ "${1-}" = --help ] || [ "${1-}" = -h ] || [ $# -gt 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
  exit $(($# > 1 ? 2 : 0))
fi

python=${PYTHON:-python}
out=${1:-${OUT:-gpu-results}}
mkdir -p "$out"
out=$(cd "$out" && pwd)
parts=$out/parts
if [ ! -d "$parts" ] && [ -f "$out/gpu.tar.gz" ]; then tar xzf "$out/gpu.tar.gz" -C "$out"; fi
mkdir -p "$parts"
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}

if [ -n "$dry" ]; then device=cpu; else device=cuda; fi
found=$("$python" -c "import torch; print(torch.cuda.is_available())") || exit 1
if [ "$device" = cuda ] && [ "$found" != True ]; then
  echo "gpu.sh needs a GPU that torch finds; try the script itself with --dry" >&2
  exit 2
fi
cores=$(nproc)
jobs=$((cores > 8 ? 8 : cores))

begun=$SECONDS
total=$((dry ? 3600 : 720))
left() { echo $((total - (SECONDS - begun))); }
say() { echo "[$((SECONDS - begun)) s] $*"; }

# part NAME SECONDS COMMAND...: do it in at most so many seconds, unless it was finished before.
part() {
  local name=$1 limit=$2 start=$SECONDS code
  shift 2
  if [ -f "$parts/$name.done" ]; then say "$name: finished before"; return; fi
  if [ -n "$dry" ] || [ "$(left)" -lt "$limit" ]; then limit=$(left); fi
  if [ "$limit" -lt 5 ]; then say "$name: no time left"; return; fi
  # The group is asked to end, so that trainings are saved; 10 seconds later it is killed.
  timeout --kill-after=10 "$limit" "$@" >"$parts/$name.txt" 2>"$parts/$name.log"
  code=$?
  case $code in
    0) echo "$((SECONDS - start)) s" >"$parts/$name.done"; say "$name: finished" ;;
    124 | 137) say "$name: stopped after $limit s; the next call goes on" ;;
    *) failed=1; say "$name: failed with $code: $(tail -n 1 "$parts/$name.log")" ;;
  esac
}

has() {
  local data=${HYPERMNESIA_DATA:-} name
  for name in "$@"; do
    if [ -n "$data" ] && [ -e "$data/$name" ]; then return 0; fi
  done
  say "left out, as HYPERMNESIA_DATA ('$data') has no $1: $what"
  return 1
}

failed=''
hypermnesia() { part "$1" "$2" "$python" -m hypermnesia "${@:3}" --out "$parts/runs"; }
cost() { part "$1" "$2" "$python" -m benchmarks.iteration_cost --device "$device" --rounds 1 \
  --json "$parts/$1.json" "${@:3}"; }
# Milliseconds of a variant in the rows of a part; 0 where it was not measured.
ms() { "$python" - "$parts/$1.json" "$2" <<'END'
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
rows = json.loads(file.read_text()) if file.is_file() else []
print(max((row["ms"] for row in rows if row["variant"] == sys.argv[2]), default=0))
END
}

if [ -n "$dry" ]; then
  tests=(-k "forms" -n 0)
  tiny=(--here --iterations 3 --outputs 5 --set 'target.hidden=[12, 8]' --set train.batch_size=4)
  tiny+=(--set 'hypernet.hidden=[6, 5]' --set hypernet.chunk=900)
  p10=("${tiny[@]}" --old-tasks 1 --variants closed)
  p100=("${tiny[@]}" --old-tasks 2 --variants rows --rows 4)
  floors=(--quick --old-tasks 0 --iterations 3 --recipe paper-small --outputs 10)
  methods=(hnet)
  all=(perm-digits --tasks 2 --set train.iterations=2 --scenario task --device cpu)
  cifar=(split-digits --recipe src/hypermnesia/experiments/recipes/split-cifar10/derived.yaml)
  cifar+=(--tasks 2 --device cpu)
  resnet=("${tiny[@]:0:5}" --benchmark split-digits --recipe "${cifar[2]}" --old-tasks 0)
  resnet+=(--variants closed)
else
  tests=(-n 4)
  p10=(--old-tasks 0,9,99 --variants closed,rows,direct,closed-bf16,closed-compiled)
  p100=(--old-tasks 99,0,999 --variants rows,closed,rows-compiled --seconds 4)
  floors=(--old-tasks 0,9)
  # In order of worth; each group is a part of its own.
  methods=(hnet,hnet-ent,hnet-lik joint,finetune,ewc,hnet-tir,hnet-r)
  methods+=(separate,ewc-online,si,lwf,dgr,ncm,slda,ranpac,patches,hnet-bayes,hnet-data,dgr-distill)
  all=(perm-mnist --recipe paper --device cuda)
  cifar=(split-cifar10 --recipe derived --device cuda)
  resnet=(--benchmark split-cifar10 --recipe derived --outputs 2 --old-tasks 4)
  resnet+=(--variants closed,closed-compiled)
fi

part tests 80 "$python" -m pytest -q -o addopts= "${tests[@]}" --device "$device" tests/device
cost cost-p10 100 "${p10[@]}"
cost cost-p100 80 --recipe paper-100 "${p100[@]}"
part floors 40 "$python" -m benchmarks.roofline --device "$device" "${floors[@]}"

what='P10, all methods'
if [ -n "$dry" ] || has mnist MNIST; then
  number=0
  for group in "${methods[@]}"; do
    number=$((number + 1))
    hypermnesia "p10-$number" $((number == 1 ? 130 : 70)) compare "${all[@]}" \
      --method "$group" --seeds 0 --jobs "$jobs" --name "p10-$number"
  done
fi

what='ResNet-32 on Split CIFAR-10'
if [ -n "$dry" ] || has cifar-10-batches-bin; then
  cost cost-resnet 50 "${resnet[@]}"
  plain=$(ms cost-resnet closed) compiled=$(ms cost-resnet closed-compiled)
  # Five tasks of 312 updates an epoch, in what is left but for evaluations and the start.
  epochs=$("$python" -c "
left, ms = $(left) - 30, min(x for x in ($plain, $compiled, 1e9) if x)
print(max(1, min(200, int(left * 1e3 / (5 * 312 * ms)))))")
  # The first call decides: another number of epochs would be another run.
  if [ -f "$parts/epochs" ]; then epochs=$(cat "$parts/epochs"); fi
  echo "$epochs" >"$parts/epochs"
  faster=()
  if "$python" -c "exit(not 0 < $compiled < 0.9 * $plain)"; then faster=(--compile); fi
  if [ -n "$dry" ]; then epochs=1 faster=(--set train.batch_size=128); fi
  say "ResNet-32: $epochs epochs a task, $plain ms an iteration, $compiled compiled"
  hypermnesia resnet "$(left)" run "${cifar[@]}" --set "train.epochs=$epochs" "${faster[@]}"
fi

{
  "$python" -c "
import json
from hypermnesia.experiments.doctor import environment
print(json.dumps(environment()))"
  for name in tests cost-p10 cost-p100 floors p10-1 p10-2 p10-3 cost-resnet resnet; do
    if [ -f "$parts/$name.txt" ]; then
      printf '\n## %s (%s)\n' "$name" "$(cat "$parts/$name.done" 2>/dev/null || echo unfinished)"
      tail -n 60 "$parts/$name.txt"
      if [ ! -f "$parts/$name.done" ]; then tail -n 5 "$parts/$name.log"; fi
    fi
  done
} >"$out/summary.txt"
# Weights are left out, and checkpoints but those of the longest training: they are large.
tar czf "$out/gpu.tar.gz" -C "$out" --exclude='weights.safetensors' \
  --exclude='perm-*/seed-*/checkpoints' parts
say "see $out/summary.txt"
exit "${failed:-0}"
