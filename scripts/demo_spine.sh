#!/usr/bin/env bash
# The spine tour: phantom radiographs and DXA images -> cross-validation -> fine-tuning on DXA -> analysis. Every line can
# be run by hand.
set -euo pipefail
agezoo=$1
out=$2
python=$(dirname "$agezoo")/python
started=$SECONDS
step() { printf '\n[%3ds] %s\n' $((SECONDS - started)) "$*"; "$@"; }

mkdir -p "$out"
step "$agezoo" phantom spine_age --subjects 160 --vfa-subjects 80 --out "$out/cohort" --seed 0 --workers "${JOBS:-2}"
step "$agezoo" datalist spine_age --images "$out/cohort" --table "$out/cohort/cohort.csv" --out "$out/datalist.json" --force
step "$agezoo" crossval spine_age --datalist "$out/datalist.json" --out "$out/crossval" --overlay phantom \
    --workers "${JOBS:-2}"
step "$agezoo" analyse "$out/crossval/out_of_fold.csv" --out "$out/analysis" --plan "$out/cohort/analysis_plan.json"
step "$agezoo" analyse "$out/crossval/test.csv" --out "$out/analysis_test" --plan "$out/cohort/analysis_plan.json" \
    --reference-fraction 0.3
bundle=bundles/spine_age/configs
step "$python" -m monai.bundle run training \
    --config_file "['$bundle/train.json','$bundle/phantom.json','$bundle/finetune_vfa.json']" \
    --dataset_dir "$out/cohort" --datalist "$out/datalist.json" --start_from "$out/crossval/fold_0/model.pt" \
    --learning_rate 0.001 --max_epochs 40 --ckpt_dir "$out/vfa" --output_dir "$out/vfa"
step "$python" -m monai.bundle run evaluating \
    --config_file "['$bundle/train.json','$bundle/phantom.json','$bundle/finetune_vfa.json','$bundle/evaluate.json']" \
    --dataset_dir "$out/cohort" --datalist "$out/datalist.json" --start_from "$out/crossval/fold_0/model.pt" \
    --ckpt_dir "$out/vfa" --output_dir "$out/vfa/test" --weights "$out/vfa/model.pt" --section test
printf '\n[%3ds] Look at %s,\n' $((SECONDS - started)) "$out/crossval/report.html"
printf '       %s and %s\n' "$out/analysis/analysis.html" "$out/vfa/test/report.html"
printf 'Phantoms throughout: these figures show that the pipeline works, not how well it would do on people.\n'
