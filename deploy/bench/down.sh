#!/bin/bash
. "$BENCH/lib.sh"
stop muster
