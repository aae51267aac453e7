#!/usr/bin/env bash
# The whole-body tour: phantom Dixon MR as zips of DICOM -> cross-validation -> ages with Grad-CAM volumes -> population atlas.
# Every line can be run by hand.
set -euo pipefail
agezoo=$1
out=$2
started=$SECONDS
step() { printf '\n[%3ds] %s\n' $((SECONDS - started)) "$*"; "$@"; }

mkdir -p "$out"
step "$agezoo" phantom wholebody_mr --subjects 200 --quick --out "$out/cohort" --seed 0 --workers "${JOBS:-2}"
step "$agezoo" datalist wholebody_mr --images "$out/cohort" --table "$out/cohort/cohort.csv" --out "$out/datalist.json" --folds 3 --force
step "$agezoo" crossval wholebody_mr --datalist "$out/datalist.json" --out "$out/crossval" --overlay phantom --workers "${JOBS:-2}"
step "$agezoo" atlas wholebody_mr "$out/datalist.json" --out "$out/atlas" --section test --weights "$out/crossval" \
    --predictions "$out/crossval/test.csv" --workers "${JOBS:-2}"
printf '\n[%3ds] Look at %s\n' $((SECONDS - started)) "$out/crossval/report.html"
printf '       and %s\n' "$out/atlas/index.html"
printf 'Phantoms throughout: these figures show that the pipeline works, not how well it would do on people.\n'
