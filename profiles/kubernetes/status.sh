#!/bin/sh
# status.sh NAME: running, success or failed
case "$(kubectl get job "$1" -o jsonpath='{.status.succeeded}/{.status.failed}')" in
  [1-9]*/*) echo success ;;
  */[1-9]*) echo failed ;;
  *) echo running ;;
esac
