import Synchronization
import Testing

import BatchEngine

@Suite("Failing tasks", .timeLimit(.minutes(5)))
struct RetryTests {
    @Test("a task that fails three times succeeds at the fourth", arguments: [true, false])
    func retries(inline: Bool) async throws {
        let context = inline ? BatchContext.local() : .parallel()
        let attempts = Locked<[Int]>([])
        let result = try await context.parallelize(0..<3, partitions: 3).map { element in
            guard element == 1, let task = TaskContext.current else { return element }
            attempts.withLock { $0.append(task.attempt) }
            if task.attempt < 3 { throw Boom() }
            return element * 10
        }.collect()
        #expect(result == [0, 10, 2])
        #expect(attempts.withLock { $0 } == [0, 1, 2, 3])
    }

    @Test("a task that fails four times fails the job, naming operator, partition and attempts")
    func givesUp() async throws {
        let tries = Counter()
        let rdd = BatchContext.parallel().parallelize(0..<3, partitions: 3).map { $0 + 1 }
        let line = UInt(#line) + 1
        let failing = rdd.filter { element in
            guard element == 3 else { return true }
            tries.next()
            throw Boom(number: element)
        }.map { ($0, 1) }.reduceByKey(+)
        let error = await #expect(throws: EngineError.self) { try await failing.collect() }
        #expect(error?.code == .taskFailed)
        #expect(error?.site == OperatorSite("filter", file: #fileID, line: line))
        #expect(error?.partition == 2)
        #expect(error?.attempts == 4)
        #expect(error?.underlying as? Boom == Boom(number: 3))
        #expect(tries.value == 4)
        #expect(error?.description.contains("filter at BatchEngineTests/RetryTests.swift") == true)
    }

    @Test("maxTaskFailures counts tries; less than one counts as one", arguments: [-1, 1, 2])
    func maximum(maxTaskFailures: Int) async throws {
        let tries = Counter()
        let context = BatchContext.parallel(maxTaskFailures: maxTaskFailures)
        let rdd = context.parallelize([1], partitions: 1).map { element -> Int in
            tries.next()
            throw Boom(number: element)
        }
        let error = await #expect(throws: EngineError.self) { try await rdd.count() }
        #expect(tries.value == max(1, maxTaskFailures))
        #expect(error?.attempts == max(1, maxTaskFailures))
    }

    @Test("accumulators count the try that succeeded, once")
    func accumulators() async throws {
        let sum = Accumulator<Int>()
        _ = try await BatchContext.parallel().parallelize(0..<100, partitions: 4).map { element in
            sum.add(element)
            if element % 25 == 24, let task = TaskContext.current, task.attempt < 2 { throw Boom() }
            return element
        }.collect()
        #expect(sum.value == 4950)
    }

    @Test("asynchronous bodies are tried again as well, and can tell the attempts apart")
    func effects() async throws {
        let attempts = Locked<[Int: Int]>([:])
        try await BatchContext.parallel().parallelize(0..<4, partitions: 2)
            .foreachPartition { _, task in
                attempts.withLock { $0[task.partition, default: 0] += 1 }
                await Task.yield()
                if task.attempt < task.partition { throw Boom() }
            }
        #expect(attempts.withLock { $0 } == [0: 1, 1: 2])
    }

    @Test("one task's failure ends the others at their next look")
    func failureEndsOthers() async throws {
        let met = Rendezvous(2)
        let rdd = BatchContext.parallel(maxTaskFailures: 1).parallelize(0..<2, partitions: 2)
            .flatMap { element -> UnfoldFirstSequence<Int> in
                met.meet()
                if element == 0 { throw Boom() }
                return sequence(first: 0) { $0 &+ 1 }
            }
        let error = await #expect(throws: EngineError.self) { try await rdd.count() }
        #expect(error?.partition == 0 && error?.underlying is Boom)
    }

    @Test("a CancellationError that a closure makes up is a failure like any other")
    func falseCancellation() async throws {
        let rdd = BatchContext.parallel().parallelize([1], partitions: 1)
            .map { _ -> Int in throw CancellationError() }
        let error = await #expect(throws: EngineError.self) { try await rdd.count() }
        #expect(error?.attempts == 4 && error?.underlying is CancellationError)
    }

    @Test("an action's error inside a body is not wrapped a second time")
    func notWrappedTwice() async throws {
        let context = BatchContext.parallel()
        let rdd = context.parallelize([1], partitions: 1).map { _ -> Int in throw Boom() }
        let error = await #expect(throws: EngineError.self) {
            try await context.engine.perform("body") { _ = try await rdd.collect() }
        }
        #expect(error?.underlying is Boom)
    }
}
