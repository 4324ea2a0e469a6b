// SPDX-License-Identifier: MIT

// What goroutines cost on one processor, in the figures of bench/switch.c, spawn.c and sleepers.c:
//
//	go_core yield      runtime.Gosched among 100 goroutines, two calls deep
//	go_core spawn      go and WaitGroup.Wait, one goroutine and a thousand
//	go_core sleepers   memory of 100,000 goroutines in time.Sleep, over the process before them
//
// Started with GOMAXPROCS=1. One line of JSON for each figure.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	tasks      = 100
	yields     = 10000
	singleRuns = 200000
	many       = 1000
	manyRuns   = 200
	sleepers   = 100000
	sleepTime  = 2 * time.Second
)

func figure(name string, value float64, unit string) {
	fmt.Printf("{\"name\": %q, \"value\": %g, \"unit\": %q}\n", name, value, unit)
}

//go:noinline
func inner() { runtime.Gosched() }

//go:noinline
func outer() { inner() }

// cpuTime is what the process has used so far: other load on the machine does not count.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func yield() {
	var wait sync.WaitGroup
	begin := cpuTime()
	for i := 0; i < tasks; i++ {
		wait.Add(1)
		go func() {
			for i := 0; i < yields; i++ {
				outer()
			}
			wait.Done()
		}()
	}
	wait.Wait()
	figure("go.yield", float64(cpuTime()-begin)/(tasks*yields), "ns")
}

func spawnAndJoin(goroutines int) {
	var wait sync.WaitGroup
	wait.Add(goroutines)
	for i := 0; i < goroutines; i++ {
		go wait.Done()
	}
	wait.Wait()
}

func spawn(name string, goroutines, runs int) {
	begin := cpuTime()
	for i := 0; i < runs; i++ {
		spawnAndJoin(goroutines)
	}
	figure(name, float64(cpuTime()-begin)/float64(goroutines*runs), "ns")
}

// statusLine returns the bytes of one line of /proc/self/status.
func statusLine(name string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	var kib float64
	_, rest, _ := bytes.Cut(status, []byte(name))
	fmt.Sscan(string(rest[:bytes.IndexByte(rest, '\n')]), &kib)
	return kib * 1024
}

func mappings() float64 {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	return float64(bytes.Count(maps, []byte("\n")))
}

func sleep() {
	var wait sync.WaitGroup
	names := []string{"VmRSS:", "VmPTE:", "VmSize:"}
	before, during := make([]float64, 3), make([]float64, 3)
	for i, name := range names {
		before[i] = statusLine(name)
	}
	mapped := mappings()
	wait.Add(sleepers)
	for i := 0; i < sleepers; i++ {
		go func() {
			time.Sleep(sleepTime)
			wait.Done()
		}()
	}
	time.Sleep(sleepTime / 2)
	for i, name := range names {
		during[i] = (statusLine(name) - before[i]) / sleepers
	}
	mapped = mappings() - mapped
	wait.Wait()
	figure("go.sleepers.memory", during[0]+during[1], "bytes/task")
	figure("go.sleepers.virtual", during[2], "bytes/task")
	figure("go.sleepers.mappings", mapped, "mappings")
}

func main() {
	switch os.Args[1] {
	case "yield":
		yield()
	case "spawn":
		spawnAndJoin(many)
		spawn("go.spawn.single", 1, singleRuns)
		spawn("go.spawn.thousand", many, manyRuns)
	case "sleepers":
		sleep()
	}
}
