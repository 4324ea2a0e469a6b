// SPDX-License-Identifier: MIT

// What channels cost on one processor, in the figures of bench/channels.c:
//
//	go_chan [ROUNDS]
//
// Started with GOMAXPROCS=1. One line of JSON for each figure.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	elements = 1000000
	buffer   = 64
	channels = 4
	ring     = 10000
	laps     = 1000
)

func figure(name string, value float64) {
	fmt.Printf("{\"name\": %q, \"value\": %g, \"unit\": \"ns\"}\n", name, value)
}

// cpuTime is what the process has used so far: other load on the machine does not count.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func produce(channel chan int64, count int64, wait *sync.WaitGroup) {
	for i := int64(0); i < count; i++ {
		channel <- i
	}
	wait.Done()
}

func consume(channel chan int64, count int64, wait *sync.WaitGroup) {
	for i := int64(0); i < count; i++ {
		if <-channel != i {
			panic("an element is lost")
		}
	}
	wait.Done()
}

func pair(name string, capacity int) {
	var wait sync.WaitGroup
	channel := make(chan int64, capacity)
	begin := cpuTime()
	wait.Add(2)
	go produce(channel, elements, &wait)
	go consume(channel, elements, &wait)
	wait.Wait()
	figure(name, float64(cpuTime()-begin)/elements)
}

func selectFour() {
	var wait sync.WaitGroup
	var sum int64
	var from [channels]chan int64
	begin := cpuTime()
	wait.Add(channels)
	for i := range from {
		from[i] = make(chan int64)
		go produce(from[i], elements/channels, &wait)
	}
	for n := 0; n < elements; n++ {
		select {
		case element := <-from[0]:
			sum += element
		case element := <-from[1]:
			sum += element
		case element := <-from[2]:
			sum += element
		case element := <-from[3]:
			sum += element
		}
	}
	wait.Wait()
	figure("go.channels.select", float64(cpuTime()-begin)/elements)
	if sum != channels*(elements/channels)*(elements/channels-1)/2 {
		panic("an element is lost")
	}
}

func passOn(in, out chan int64, wait *sync.WaitGroup) {
	for i := 0; i < laps; i++ {
		token := <-in + 1
		if token < laps*ring {
			out <- token
		}
	}
	wait.Done()
}

func ringOfTasks() {
	var wait sync.WaitGroup
	channel := make([]chan int64, ring)
	for i := range channel {
		channel[i] = make(chan int64)
	}
	wait.Add(ring)
	for i := range channel {
		go passOn(channel[i], channel[(i+1)%ring], &wait)
	}
	begin := cpuTime()
	channel[0] <- 0
	wait.Wait()
	figure("go.channels.ring", float64(cpuTime()-begin)/(laps*ring))
}

func main() {
	rounds := 3
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < rounds; i++ {
		pair("go.channels.pair", 0)
		pair("go.channels.buffered", buffer)
		selectFour()
		ringOfTasks()
	}
}
