# Targets and what they do: make help.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# ONNX Runtime contains a telemetry client; a camera product does not phone home.
export ORT_DISABLE_TELEMETRY := 1

version := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
env := . .build/env.sh &&
fuzztime ?= 5s

.PHONY: help
help: ## this list
	@echo 'RAVE: live video in, every frame enhanced, live video out'
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|' | sed 's/^/  make /'

.PHONY: run
run: build ## build and show the demo (RUN_FOR=30s ends it by itself)
	@exec .build/rave demo

.PHONY: setup
setup: ## install packages, build FFmpeg, fetch ONNX Runtime (3 minutes once, then cached)
	@scripts/deps.sh build
	@scripts/ffmpeg.sh
	@scripts/onnxruntime.sh

.PHONY: setup-gpu
setup-gpu: ## fetch what an NVIDIA GPU needs beside its driver: CUDA 13, cuDNN 9, ONNX Runtime for them (1.4 GB once)
	@scripts/setup_gpu.sh

.PHONY: build
build: setup ## .build/rave
	@scripts/build.sh $(version)

.PHONY: setup-test
setup-test: setup
	@scripts/deps.sh test kernels
	@scripts/peers.sh

.PHONY: test
test: export RAVE_REQUIRE_PEERS := 1
test: setup-test build lint ## everything that CI checks: linters, unit tests with -race, short fuzzing, end to end
	@scripts/kernels.sh check
	@echo 'test: unit tests with the race detector'
	@$(env) go test -race -timeout 10m $$(go list ./... | grep -v '/e2e$$')
	@echo "test: the page's logic"
	@node --test egress/http/uitest/*.test.js
	@echo 'test: each fuzz target for $(fuzztime)'
	@scripts/fuzz.sh $(fuzztime)
	@echo 'test: end to end, with the built program and real peers'
	@$(env) go test -count=1 -p 1 -timeout 15m $$(go list ./... | grep '/e2e$$')

.PHONY: lint
lint: setup ## formatting, vet, import rules, linters
	@scripts/deps.sh lint
	@scripts/golangci.sh
	@scripts/lint.sh

.PHONY: fmt
fmt: ## format Go code
	@find . -name '*.go' -not -path './.*' -exec gofmt -l -w {} +

.PHONY: bench
bench: setup-test build ## latency, drops and CPU of the loop from outside, beside FFmpeg (20 minutes; BENCH='-length 10s' for less)
	@scripts/bench.sh $(BENCH)

.PHONY: soak
soak: setup-test build ## an hour of four cameras, one misbehaving, with readers coming and going; report in docs/soak (SOAK='-length 10m', '-scenario slow -length 10m')
	@scripts/soak.sh $(SOAK)

.PHONY: fuzz
fuzz: setup ## each fuzz target for a minute (fuzztime=10m for longer)
	@scripts/fuzz.sh $(if $(filter command line,$(origin fuzztime)),$(fuzztime),1m)

.PHONY: kernels
kernels: ## the CUDA kernels' PTX from their sources, with Debian's clang
	@scripts/deps.sh kernels
	@scripts/kernels.sh

.PHONY: gpu-bundle
gpu-bundle: setup ## .build/gpu/rave-gpu.tar.xz: what tests and measures on a bare machine with a GPU
	@scripts/gpu_bundle.sh

.PHONY: model-report
model-report: ## docs/models.md, from the figures of the networks' training run
	@python3 engine/model/train/report.py write

.PHONY: dist
dist: setup ## .build/dist/rave-VERSION-linux-amd64.tar.gz
	@scripts/dist.sh $(version)

.PHONY: clean
clean: ## remove .build (the caches under ~/.cache/rave stay)
	@rm -rf .build
