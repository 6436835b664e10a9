# A Ray head with token authentication, two jobs handed to it, and what it says of them: ray_job.sh FOLDER JOB.
# Runs in namespaces of its own (see test_ray_job.py), so that whatever Ray leaves ends with them.
folder=$1 job=$2
set -u
ip link set lo up
cd "$folder"
mkdir -p ray source
cat > source/goes_along.py << 'END'
from saccade.models.attention.scores.scaled_dot import ScaledDot
from saccade.models.registry import register

register("score", "from_the_directory")(type("FromTheDirectory", (ScaledDot,), {}))
END
head -c 32 /dev/urandom | base64 | tr -d '=+/\n' > token
chmod 600 token
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$folder/token" RAY_ADDRESS=http://127.0.0.1:8265 RAY_DEDUP_LOGS=0
export RAY_JOB_STOP_WAIT_TIME_S=20 # its 3 seconds are short where a machine does many things at once
RAY_ADDRESS= ray start --head --num-cpus=3 --temp-dir="$folder/ray" --object-store-memory=100000000 \
  --dashboard-host=127.0.0.1 --disable-usage-stats > start.log 2>&1 || exit 9
submit() { # NAME ARGUMENTS…
  name=$1
  shift
  (cd source && timeout 200 ray job submit --submission-id "$name" --working-dir . -- saccade train "$job" "$@") \
    > "$name.out" 2>&1
  echo $? > "$name.code"
  ray job logs "$name" > "$name.log" 2>&1
}
submit good "run.storage=$folder/runs" "plugins=[goes_along]" model.attention.score=from_the_directory
submit bad "run.storage=$folder/runs" run.name=bad "data.path=$folder/nowhere"
submit stopped "run.storage=$folder/runs" run.name=stopped train.epochs=1000 evaluate.every=1000 \
  checkpoint.every_seconds=1000 &
for _ in $(seq 600); do
  grep -q '"phase": "training", "step": [0-9][0-9]' "$folder/runs/stopped/progress.json" 2> stop.err && break
  sleep 0.2
done
timeout 60 ray job stop stopped > stop.out 2>&1
wait $!
