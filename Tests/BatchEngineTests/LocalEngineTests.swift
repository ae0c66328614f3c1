import Synchronization
import Testing

import BatchEngine

@Suite("The local engine", .timeLimit(.minutes(5)))
struct LocalEngineTests {
    @Test("partitions run at the same time: two tasks meet", arguments: [2, 4])
    func parallel(slots: Int) async throws {
        let place = Rendezvous(slots)
        let context = BatchContext.parallel(slots: slots)
        let result = try await context.parallelize(0..<slots, partitions: slots).map { element in
            place.meet()
            return element
        }.collect()
        #expect(result == Array(0..<slots))
    }

    @Test("small input is no reason to run asynchronous bodies one after the other")
    func parallelEffects() async throws {
        let place = Rendezvous(2)
        try await BatchContext.local(slots: 2).parallelize([1, 2], partitions: 2)
            .foreachPartition { _, _ in place.meet() }
    }

    @Test("large blocks in the store are large input")
    func largeBlocks() async throws {
        let place = Rendezvous(2)
        let context = BatchContext.local(slots: 2)
        let kept = context.parallelize(0..<20_000, partitions: 2).cache()
        #expect(try await kept.count() == 20_000)
        #expect(
            try await kept.mapPartitions { elements in
                place.meet()
                return [elements.count]
            }.collect() == [10_000, 10_000])
    }

    @Test("where the system starts no thread, work fails in words, and nothing traps")
    func noThreads() async throws {
        let failing: SlotExecutor.Start = { name, _ throws(SystemError) in
            throw SystemError(call: "pthread_create", errno: 11, subject: name)
        }
        let engine = LocalEngine(
            LocalEngine.Configuration(slots: 2), blockStore: MemoryBlockStore(),
            startThread: failing)
        let atStart = await #expect(throws: EngineError.self) {
            try await engine.prepare(EngineProgram())
        }
        let inBody = await #expect(throws: EngineError.self) { try await engine.perform("body") {} }
        let inJob = await #expect(throws: EngineError.self) {
            try await BatchContext(engine: engine).parallelize([1, 2]).count()
        }
        for error in [atStart, inBody, inJob] {
            #expect(error?.code == .noThreads)
            #expect(error?.message.contains("pthread_create") == true)
        }
        // What could be refused by nobody runs all the same.
        let threads = SlotExecutor(name: "none", limit: 1, idleMaximum: 1, start: failing)
        await Task(executorPreference: threads) { await Task.yield() }.value
    }

    @Test("a thread that cannot be started says how many there are, and what to do")
    func threadLimit() throws {
        let error = #expect(throws: SystemError.self) {
            // More addresses than a process has.
            try SystemThread.start(name: "huge", stackBytes: 1 << 50) {}
        }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.hasPrefix("thread huge cannot be started: "), "\(text)")
        #expect(text.contains("Raise the limit (ulimit -u"), "\(text)")
    }

    #if os(Linux)
        private static func threadName() -> String {
            let bytes = (try? FileSystem.readAll("/proc/thread-self/comm")) ?? []
            return String(decoding: bytes.dropLast(), as: UTF8.self)
        }

        @Test("user code runs on the engine's threads, never on the cooperative pool")
        func threads() async throws {
            let names = Locked<Set<String>>([])
            let note: @Sendable () -> Void = { names.withLock { _ = $0.insert(Self.threadName()) } }
            for context in [BatchContext.parallel(), .local()] {
                let rdd = context.parallelize(0..<8, partitions: 4).map { element in
                    note()
                    return (element, 1)
                }
                _ = try await rdd.reduceByKey { left, _ in left }.map { $0.1 }.reduce { left, _ in
                    note()
                    return left
                }
                _ = try await rdd.cache().take(1)
                try await rdd.foreachPartition { _, _ in
                    note()
                    await Task.yield()
                    note()
                }
                try await context.engine.perform("body") {
                    note()
                    _ = try await rdd.count()
                    note()
                }
            }
            #expect(names.withLock { $0 } == ["dstream-task", "dstream-body"])
        }

        @Test("a job with small input stays on one thread, from its body to its last stage")
        func noHops() async throws {
            let context = BatchContext.local()
            let threads = Locked<Set<UInt>>([])
            let note: @Sendable () -> Void = {
                threads.withLock { _ = $0.insert(SystemThread.current) }
            }
            try await context.engine.perform("body") {
                note()
                let sums = try await context.parallelize(0..<100, partitions: 4)
                    .map { element in
                        note()
                        return (element % 3, element)
                    }.reduceByKey { left, right in
                        note()
                        return left + right
                    }.collect()
                note()
                #expect(sums.count == 3)
            }
            #expect(threads.withLock { $0.count } == 1)
        }
    #endif

    @Test("as many bodies as one likes may block without keeping a stage from running")
    func blockedBodies() async throws {
        let context = BatchContext.parallel(slots: 1)
        let door = Door()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
                group.addTask { try await context.engine.perform("body \(number)") { door.pass() } }
            }
            try await door.arrivals(6)
            #expect(try await context.parallelize(0..<10, partitions: 3).count() == 10)
            try await context.engine.perform("another") {
                let count = try await context.parallelize(0..<10, partitions: 3).count()
                #expect(count == 10)
            }
            door.open()
            try await group.waitForAll()
        }
    }

    @Test("perform hands on what the body throws, and runs bodies in one another")
    func perform() async throws {
        let engine = LocalEngine(slots: 1)
        await #expect(throws: Boom(number: 3)) {
            try await engine.perform("body") { throw Boom(number: 3) }
        }
        let ran = Counter()
        try await engine.perform("outer") {
            try await engine.perform("inner") { ran.next() }
        }
        #expect(ran.value == 1)
    }

    @Test("cancelling the caller ends a long task", arguments: [true, false])
    func cancellation(inline: Bool) async throws {
        let context = inline ? BatchContext.local() : .parallel()
        let started = Door()
        started.open()
        let endless = context.parallelize([1], partitions: 1).flatMap { _ in
            started.pass()
            return sequence(first: 0) { $0 &+ 1 }
        }
        await #expect(throws: CancellationError.self) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await endless.count() }
                try await started.arrivals(1)
                group.cancelAll()
                for try await _ in group {}
            }
        }
        #expect(try await context.parallelize([1]).count() == 1)
    }

    @Test("cancelling ends a sample in which one element comes out very often")
    func cancellationOfSample() async throws {
        let started = Door()
        started.open()
        let sampled = BatchContext.parallel().parallelize([1], partitions: 1).map { element in
            started.pass()
            return element
        }.sample(withReplacement: true, fraction: 1e18)
        await #expect(throws: CancellationError.self) {
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await sampled.count() }
                try await started.arrivals(1)
                group.cancelAll()
                for try await _ in group {}
            }
        }
    }

    @Test("cancelling ends tasks that read encoded elements or lines as well")
    func cancellationOfSources() async throws {
        let flag = CancellationFlag()
        let context = TaskContext(partition: 0, cancellation: flag)
        let site = OperatorSite("test", file: "", line: 0)
        let bytes = try #require(Codec<Int>.resolve().map { ErasedCodec($0) })
            .encode([.values(Values(Array(0..<10_000)))])
        let lines = LineBlock((0..<10_000).map { String($0) })
        let numbers = Counter()
        #expect(throws: CancellationError.self) {
            try Pipe<Int>.source(site).run(context, [.encoded(bytes)]) { _ in
                if numbers.next() == 10 { flag.cancel() }
            }
        }
        #expect(numbers.value <= 4096)
        let other = CancellationFlag()
        let texts = Counter()
        #expect(throws: CancellationError.self) {
            try Pipe<String>.source(site).run(
                TaskContext(partition: 0, cancellation: other), [.lines(lines)]
            ) { _ in
                if texts.next() == 10 { other.cancel() }
            }
        }
        #expect(texts.value <= 4096)
    }

    @Test("requests at the same time share one run of a shuffle's map side")
    func sharedExchange() async throws {
        let mapped = Counter()
        let door = Door()
        let context = BatchContext.parallel()
        let shared = context.parallelize(0..<100, partitions: 2)
            .map { (element: Int) -> (Int, Int) in
                if element == 0 { door.pass() }
                mapped.next()
                return (element % 5, 1)
            }.reduceByKey(+)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<5 { group.addTask { try await shared.map { $0.1 }.reduce(+) ?? 0 } }
            try await door.arrivals(1)
            door.open()
            for try await sum in group { #expect(sum == 100) }
        }
        #expect(mapped.value == 100)
    }

    @Test("when the request that runs a shared shuffle is cancelled, another takes over")
    func sharedExchangeCancelled() async throws {
        let door = Door()
        let tries = Counter()
        let shared = BatchContext.parallel().parallelize(0..<2, partitions: 1)
            .flatMap { (element: Int) -> UnfoldFirstSequence<(Int, Int)> in
                // The first run has no end, the second has one.
                if element > 0 || tries.next() > 1 {
                    return sequence(first: (element, 1)) { _ in nil }
                }
                door.pass()
                return sequence(first: (element, 1)) { $0 }
            }.reduceByKey { left, _ in left }
        let first = Task { try await shared.count() }
        try await door.arrivals(1)
        let second = Task { try await shared.count() }
        first.cancel()
        door.open()
        #expect(try await second.value == 2)
        await #expect(throws: CancellationError.self) { try await first.value }
    }
}

@Suite("Giving up on the local engine", .timeLimit(.minutes(5)))
struct AbandonTests {
    /// Where something of the engine is used too long, a sanitizer can say so.
    @Test("an engine may be let go of as soon as its last job has ended")
    func letGo() async throws {
        for count in 0..<500 {
            let sum = try await BatchContext.parallel().parallelize(0..<count, partitions: 2)
                .map { $0 + 1 }.fold(0, +)
            #expect(sum == count * (count + 1) / 2)
        }
    }

    @Test("the caller of a task that blocks is freed and told operator and partition")
    func abandonTask() async throws {
        // One slot: the first partition has ended when the second begins.
        let context = BatchContext.parallel(slots: 1)
        let door = Door()
        let line = UInt(#line) + 2
        let job = Task {
            try await context.parallelize(0..<2, partitions: 2).foreach { element in
                if element == 1 { door.pass() }
            }
        }
        try await door.arrivals(1)
        let running = context.engine.abandon(reason: "no end after 10 s")
        let error = await #expect(throws: EngineError.self) { try await job.value }
        #expect(error?.code == .abandoned)
        #expect(error?.site == OperatorSite("foreach", file: #fileID, line: line))
        #expect(error?.partition == 1)
        #expect(error?.message.contains("no end after 10 s") == true)
        #expect(error?.message.contains("partition 1") == true)
        #expect(running.count == 1 && running[0].contains("foreach"))
        door.open()
    }

    @Test("a body that blocks is left behind, and so is one that waits for a task")
    func abandonBodies() async throws {
        let context = BatchContext.parallel()
        let door = Door()
        let body = Task { try await context.engine.perform("foreachRDD, batch 3") { door.pass() } }
        let waiting = Task {
            try await context.engine.perform("print, batch 4") {
                try await context.parallelize([1], partitions: 1).foreach { _ in door.pass() }
            }
        }
        try await door.arrivals(2)
        let running = context.engine.abandon(reason: "late")
        for job in [body, waiting] {
            let error = await #expect(throws: EngineError.self) { try await job.value }
            #expect(error?.code == .abandoned)
            #expect(error?.message.contains("foreachRDD, batch 3") == true)
        }
        #expect(running.count == 3)
        door.open()
    }

    @Test("an abandoned engine takes no further work")
    func refuses() async throws {
        let context = BatchContext.local()
        #expect(context.engine.abandon(reason: "late") == [])
        let first = await #expect(throws: EngineError.self) {
            try await context.parallelize([1]).count()
        }
        #expect(first?.code == .abandoned)
        let second = await #expect(throws: EngineError.self) {
            try await context.engine.perform("x") {}
        }
        #expect(second?.code == .abandoned)
    }

    @Test("tasks that look out for their end do end when the engine is abandoned")
    func endsTasks() async throws {
        let context = BatchContext.parallel()
        let door = Door()
        door.open()
        let ended = Door()
        ended.open()
        let engine = context.engine
        let job = Task {
            try await engine.perform("body") {
                do {
                    _ = try await context.parallelize([1], partitions: 1).flatMap { _ in
                        door.pass()
                        return sequence(first: 0) { $0 &+ 1 }
                    }.count()
                } catch {
                    ended.pass()
                    throw error
                }
            }
        }
        try await door.arrivals(1)
        engine.abandon(reason: "late")
        await #expect(throws: EngineError.self) { try await job.value }
        try await ended.arrivals(1)
    }

    @Test("a shut-down engine refuses work and says so")
    func shutdown() async throws {
        let context = BatchContext.local()
        #expect(try await context.parallelize([1, 2]).count() == 2)
        context.engine.shutdown()
        context.engine.shutdown()
        let error = await #expect(throws: EngineError.self) {
            try await context.parallelize([1]).count()
        }
        #expect(error?.code == .stopped)
    }
}
