#!/usr/bin/env bash
# The commands of the README's tour, one after the other. Every line can be run by hand.
set -euo pipefail
agezoo=$1
out=$2
started=$SECONDS
step() { printf '\n[%3ds] %s\n' $((SECONDS - started)) "$*"; "$@"; }

mkdir -p "$out"
step "$agezoo" phantom ct_age --subjects 80 --out "$out/cohort" --seed 0 --workers "${JOBS:-2}"
step "$agezoo" datalist ct_age --images "$out/cohort" --table "$out/cohort/cohort.csv" --out "$out/datalist.json" --force
step "$agezoo" check "$out/datalist.json"
step "$agezoo" crossval ct_age --datalist "$out/datalist.json" --out "$out/crossval" --overlay phantom --tracking mlflow \
    --workers "${JOBS:-2}"
# A cohort of other people, which no model has seen.
step "$agezoo" phantom ct_age --subjects 4 --out "$out/new_scans" --seed 1 --workers "${JOBS:-2}"
step "$agezoo" predict ct_age "$out/new_scans/images" --out "$out/predictions" --weights "$out/crossval"
printf '\n[%3ds] Look at %s\n' $((SECONDS - started)) "$out/crossval/report.html"
printf '       and the pictures in %s\n' "$out/predictions/overlays"
printf 'Phantoms throughout: these figures show that the pipeline works, not how well it would do on people.\n'
