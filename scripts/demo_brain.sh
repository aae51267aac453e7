#!/usr/bin/env bash
# The brain tour: phantom brains -> two-stage cross-validation -> diagnosis from the gap; phantom heads with skull -> registration -> ages.
# Every line can be run by hand.
set -euo pipefail
agezoo=$1
out=$2
started=$SECONDS
step() { printf '\n[%3ds] %s\n' $((SECONDS - started)) "$*"; "$@"; }

mkdir -p "$out"
step "$agezoo" phantom brain_tsan --subjects 240 --space mni --out "$out/cohort" --seed 0 --workers "${JOBS:-2}"
step "$agezoo" datalist brain_tsan --images "$out/cohort" --table "$out/cohort/cohort.csv" --out "$out/datalist.json" --folds 3 --force
step "$agezoo" crossval brain_tsan --datalist "$out/datalist.json" --out "$out/crossval" --overlay phantom --workers "${JOBS:-2}"
step "$agezoo" analyse "$out/crossval/test.csv" --out "$out/analysis" --reference "$out/crossval/out_of_fold.csv" \
    --label group=AD/CN group=MCI/CN --group group
step "$agezoo" phantom brain_tsan --subjects 4 --space head --out "$out/heads" --seed 7 --workers "${JOBS:-2}"
step "$agezoo" prepare brain_tsan "$out/heads" --out "$out/prepared" --jobs "${JOBS:-2}"
step "$agezoo" predict brain_tsan "$out/prepared" --out "$out/predictions" --weights "$out/crossval"
printf '\n[%3ds] Look at %s,\n' $((SECONDS - started)) "$out/crossval/report.html"
printf '       %s, %s and %s\n' "$out/analysis/analysis.html" "$out/prepared/preparation.html" "$out/predictions/overlays"
printf 'Phantoms throughout: these figures show that the pipeline works, not how well it would do on people.\n'
