#!/bin/sh
# submit.sh MINUTES MEMORY_MB CARDS THREADS SCRIPT: one Job of Kubernetes, whose name is printed
set -eu
name=ffd-$(date +%s)-$$
asked="cpu: '$4', memory: ${2}Mi"
[ "$3" = 0 ] || asked="$asked, nvidia.com/gpu: '$3'"
kubectl create -f - >&2 <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: $name, labels: {app: ffd-repro}}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: $(($1 * 60))
  ttlSecondsAfterFinished: 86400
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job
          image: $FFD_IMAGE
          command: [sh, "$5"]
          workingDir: "$FFD_CACHE"
          env:
            - {name: FFD_CACHE, value: "$FFD_CACHE"}
            - {name: FFD_RESULTS, value: "$FFD_RESULTS"}
            - {name: OMP_NUM_THREADS, value: '$4'}
          resources: {requests: {$asked}, limits: {$asked}}
          volumeMounts: [{name: shared, mountPath: "$FFD_VOLUME"}]
      volumes: [{name: shared, persistentVolumeClaim: {claimName: "$FFD_CLAIM"}}]
YAML
echo "$name"
