import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// What an output operation adds to accumulators counts once: when it has succeeded.
@Suite("Accumulators and retries", .timeLimit(.minutes(5)))
struct AccumulatorRetryTests {
    private struct Failure: Error {}

    private static let thrice = RetryPolicy(maxAttempts: 3, initialBackoff: .zero)

    private func harness(_ policy: FailurePolicy) -> StreamHarness {
        LetterRun.harness(SimulatedStorageMedium(), policy: policy)
    }

    @Test("an operation that succeeds at the third attempt counts once, and reads what it added")
    func thirdAttempt() async throws {
        let (sum, own) = (Accumulator<Int>(), Accumulator<Int>())
        let runs = Locked(0)
        let read = Locked<[Int]>([])
        let harness = harness(.continue)
        harness.input([[1, 2, 3], [4]]).foreachRDD { rdd in
            own.add(100)
            try await rdd.foreach { sum.add($0) }
            read.withLock { $0 += [sum.value, own.value] }
            let run = runs.withLock { runs in
                runs += 1
                return runs
            }
            if run < 3 { throw Failure() }
        }.onFailure(retry: Self.thrice, then: .continue)
        try await harness.run(batches: 2)
        #expect(harness.errors.isEmpty)
        #expect(read.withLock { $0 } == [6, 100, 6, 100, 6, 100, 10, 200])
        #expect(sum.value == 10 && own.value == 200)
    }

    @Test("a shuffle that is not run again for a later attempt counts once")
    func shuffle() async throws {
        let (before, after) = (Accumulator<Int>(), Accumulator<Int>())
        let runs = Locked(0)
        let harness = harness(.continue)
        harness.input([[1, 2, 3]]).map { number in
            before.add(number)
            return (number % 2, number)
        }.reduceByKey(+).foreachRDD { rdd in
            try await rdd.foreach { after.add($0.1) }
            _ = try await rdd.count()
            #expect(before.value == 6)
            let run = runs.withLock { runs in
                runs += 1
                return runs
            }
            if run < 3 { throw Failure() }
        }.onFailure(retry: Self.thrice, then: .continue)
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty && runs.withLock { $0 } == 3)
        #expect(before.value == 6 && after.value == 6)
    }

    @Test("an action that the operation tries again by itself counts once")
    func ownRetry() async throws {
        let sum = Accumulator<Int>()
        let runs = Locked(0)
        let harness = harness(.continue)
        harness.input([[1, 2, 3]]).foreachRDD { rdd in
            for _ in 0..<2 {
                try? await rdd.foreach { number in
                    sum.add(number)
                    let isFirst = runs.withLock { runs in
                        if number == 3 { runs += 1 }
                        return runs == 1
                    }
                    if number == 3, isFirst { throw Failure() }
                }
            }
        }
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(sum.value == 6)
    }

    @Test("an operation that fails does not count, dead-lettered or not", arguments: [true, false])
    func failed(isDeadLettered: Bool) async throws {
        let (mapped, added) = (Accumulator<Int>(), Accumulator<Int>())
        let harness = harness(.continue)
        harness.input([[1, 2, 3], [4]]).map { number in
            mapped.add(number)
            return number
        }.foreachRDD { rdd, time in
            try await rdd.foreach { added.add($0) }
            if time == .seconds(1) { throw Failure() }
        }.named("sum").onFailure(
            retry: Self.thrice, then: isDeadLettered ? .deadLetter : .continue)
        try await harness.ssc.start()
        try await harness.advanceAndSettle()
        #expect(mapped.value == 0 && added.value == 0)
        try await harness.advanceAndSettle()
        await harness.ssc.stop()
        #expect(mapped.value == 4 && added.value == 4)
    }

    @Test("what two operations share counts with the first that succeeds")
    func shared() async throws {
        let sum = Accumulator<Int>()
        let harness = harness(.continue)
        let stream = harness.input([[1, 2, 3]]).map { number in
            sum.add(number)
            return number
        }.persist()
        stream.foreachRDD { rdd in
            _ = try await rdd.count()
            throw Failure()
        }.onFailure(then: .continue)
        let seen = Locked<[Int]>([])
        for _ in 0..<2 {
            stream.foreachRDD { rdd in
                _ = try await rdd.count()
                seen.withLock { $0.append(sum.value) }
            }
        }
        try await harness.run(batches: 1)
        #expect(seen.withLock { $0 } == [6, 6])
        #expect(sum.value == 6)
    }
}
