# The commands of a day. `make` prints them.
BENCH_DIR ?=
COMPANY   ?= deploy/acme
FOR       ?= 30s
TOOLS     := $(CURDIR)/.tools
LINT      := $(TOOLS)/golangci-lint-v2.15.0
MODULES   := schemas libs services

.PHONY: help build run demo test lint generate bench load chaos mutants fuzz tidy clean up images

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build every program into bin/
	@mkdir -p bin
	@go build -o bin/ ./services/...

run: build ## Start everything on this machine, play the demo, stay up
	@bin/muster demo --keep --data .muster/run --config $(COMPANY)

demo: build ## Play the demo in a fresh folder; exit 0 only if every effect was seen
	@bin/muster demo --config $(COMPANY)

test: ## Run every test with the race detector
	go test -race -shuffle=on -timeout 12m work

lint: $(LINT) ## Check style, imports between packages, generated files
	@for m in $(MODULES); do (cd $$m && echo "lint $$m" && $(LINT) run ./...) || exit 1; done
	@gofmt -l $(MODULES) | (! grep .) || (echo "the files above are not formatted: run gofmt -w" && exit 1)

$(LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOWORK=off go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(TOOLS)/golangci-lint $(LINT)

generate: ## Make the schema files anew from the Go types
	cd libs && go test ./internal/schemagen -run TestSchemaFilesAreCurrent -update

bench: ## Measure W1 beside the reference program; BENCH_DIR= is the yardstick's folder
	@test -n "$(BENCH_DIR)" || (echo "name the yardstick's folder: make bench BENCH_DIR=…" && exit 2)
	go build -o bin/ ./services/muster/cmd/muster
	cd $(BENCH_DIR) && OURS_DIR=$(CURDIR)/deploy/bench REPS=$${REPS:-3} ./run.sh "limit limit-sync ours"

load: ## Read a roster of 100,000 people into an empty Muster; LOAD_PEOPLE, LOAD_SECONDS
	cd services && go test -tags load ./internal/e2e -count=1 -v -timeout 60m -run '^TestLoad$$'

chaos: ## Kill everything while 10,000 webhooks come; CHAOS_SEEDS, CHAOS_TARGETS (seeds with every target, or all), CHAOS_WEBHOOKS, CHAOS_PEOPLE, CHAOS_KILLS, CHAOS_WINDOWS (per target)
	cd services && CHAOS_SEEDS="$${CHAOS_SEEDS:-1 2 3}" CHAOS_TARGETS="$${CHAOS_TARGETS:-3}" CHAOS_WEBHOOKS=$${CHAOS_WEBHOOKS:-10000} CHAOS_KILLS=$${CHAOS_KILLS:-100} CHAOS_WINDOWS=$${CHAOS_WINDOWS:-5} \
	  go test ./internal/e2e -count=1 -v -timeout 90m -run '^TestChaos$$'

mutants: ## The kill run with one protection left out must fail, each, and pass with it
	cd services && CHAOS_MUTANTS=all go test ./internal/e2e -count=1 -v -timeout 30m -run '^TestEachProtectionIsNeeded$$'

fuzz: ## Fuzz every parser of foreign bytes, FOR=30s each
	@for m in $(MODULES); do (cd $$m && go list -f '{{.ImportPath}} {{range .TestGoFiles}}{{$$.Dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$.Dir}}/{{.}} {{end}}' ./... | \
	  while read -r pkg files; do for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$files /dev/null | sed 's/^func //'); do \
	    go test $$pkg -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FOR) || exit 1; done; done) || exit 1; done

tidy: ## Tidy every module
	@for m in $(MODULES); do (cd $$m && go mod tidy) || exit 1; done

up: ## Start everything in containers (needs Docker); the console is at 127.0.0.1:8081
	docker compose up --build --detach --wait

images: ## Build the container images from programs built here, without any other image
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/ ./services/...
	@for s in ingress poller transform delivery audit console sandbox muster; do \
	  docker build -f deploy/Dockerfile --target local --build-arg SERVICE=$$s --build-context certs=/etc/ssl/certs -t muster/$$s . || exit 1; done

clean: ## Remove what was built and the local data
	rm -rf bin .muster
