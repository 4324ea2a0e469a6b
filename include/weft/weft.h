/* SPDX-License-Identifier: MIT */
/* All of weft. */
#pragma once

#include <weft/condition.h>
#include <weft/chan.h>
#include <weft/error.h>
#include <weft/event.h>
#include <weft/future.h>
#include <weft/generator.h>
#include <weft/latest.h>
#include <weft/mutex.h>
#include <weft/net.h>
#include <weft/park.h>
#include <weft/pool.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/semaphore.h>
#include <weft/select.h>
#include <weft/serve.h>
#include <weft/signals.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/wait_group.h>
