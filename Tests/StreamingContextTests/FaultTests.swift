import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// Closures that throw: what is retried, what is reported, and what goes on.
@Suite("Closures that throw")
struct FaultTests {
    /// Where a closure throws.
    enum Place: String, CaseIterable, Sendable {
        case map, reduceByKey, transform, foreachRDD, foreachPartition
    }

    /// A pipeline whose closure at `place` throws for the elements of the first batch.
    ///
    /// - Returns: the line of the operator.
    private func declare(
        _ place: Place, _ input: DStream<Int>, _ tries: Notes<Void>
    ) -> UInt {
        let check: @Sendable (Int) throws -> Void = { element in
            if element < 10 {
                tries.add(())
                throw Boom()
            }
        }
        let line: UInt
        switch place {
        case .map:
            line = #line + 1
            input.map { element in
                try check(element)
                return element
            }.foreachRDD { rdd in _ = try await rdd.count() }
        case .reduceByKey:
            line = #line + 1
            input.map { (0, $0) }.reduceByKey { left, right in
                try check(left)
                return left + right
            }.foreachRDD { rdd in _ = try await rdd.count() }
        case .transform:
            line = #line + 1
            input.transform { rdd in
                for element in try await rdd.collect() { try check(element) }
                return rdd
            }.foreachRDD { rdd in _ = try await rdd.count() }
        case .foreachRDD:
            line = #line + 1
            input.foreachRDD { rdd in
                for element in try await rdd.collect() { try check(element) }
            }
        case .foreachPartition:
            line = #line + 1
            input.foreachPartition { chunks, _ in
                for chunk in chunks { for element in chunk { try check(element) } }
            }
        }
        return line
    }

    @Test(
        "under .stop nothing runs after the failed batch", .timeLimit(.minutes(5)),
        arguments: Place.allCases)
    func stop(place: Place) async throws {
        let harness = StreamHarness()
        let input = harness.input([[1, 2], [10, 20], [30, 40]], partitions: 1)
        let tries = Notes<Void>()
        let line = declare(place, input, tries)
        let seen = harness.record(input)
        try await harness.ssc.start()
        await #expect(throws: StreamError.self) { try await harness.advance() }
        harness.clock.advance(by: .seconds(2))
        let waited = await #expect(throws: StreamError.self) {
            try await harness.ssc.awaitTermination()
        }
        let error = try #require(waited)
        #expect(harness.ssc.state == .active, "who waits decides to stop")
        let report = await harness.ssc.stop()
        #expect(report.pendingBatches.first == .seconds(1))
        try expect(error, place, line)
        #expect(harness.errors.count == 1)
        #expect(tries.all.count == (place == .transform || place == .foreachRDD ? 1 : 4))
        // The other output of the batch runs; a batch that is not generated has none.
        let first: [[Int]] = place == .transform ? [] : [[1, 2]]
        #expect(seen.batches.map(\.elements) == first)
        harness.clock.finish()
    }

    @Test(
        "under .continue later batches go on", .timeLimit(.minutes(5)), arguments: Place.allCases)
    func goOn(place: Place) async throws {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        configuration.maxTaskFailures = 2
        let harness = StreamHarness(configuration: configuration)
        let input = harness.input([[1, 2], [10, 20], [3], [30, 40]], partitions: 1)
        let tries = Notes<Void>()
        let line = declare(place, input, tries)
        let seen = harness.record(input)
        try await harness.run(batches: 4)
        // A single value is not reduced.
        let failed: [BatchTime] =
            place == .reduceByKey ? [.seconds(1)] : [.seconds(1), .seconds(3)]
        #expect(harness.errors.map(\.batchTime) == failed)
        for error in harness.errors { try expect(error, place, line) }
        #expect(await harness.ssc.stop().pendingBatches == failed)
        let isGenerated = place != .transform
        #expect(
            seen.batches.map(\.elements)
                == (isGenerated ? [[1, 2], [10, 20], [3], [30, 40]] : [[10, 20], [30, 40]]))
        let perTask = place == .transform || place == .foreachRDD ? 1 : 2
        #expect(tries.all.count == failed.count * perTask)
        await #expect(throws: StreamError.self) { try await harness.ssc.awaitTermination() }
        harness.clock.finish()
    }

    /// The error names operator, place, batch and cause.
    private func expect(_ error: StreamError, _ place: Place, _ line: UInt) throws {
        let text = "\(error)"
        #expect(error.code == (place == .transform ? .generationFailed : .outputFailed))
        // Its type stays in the worker, where there is one.
        #expect(error.underlying.map { "\($0)" } == "\(Boom())")
        #expect(error.site?.name == place.rawValue, "\(text)")
        #expect(
            text.contains("\(place.rawValue) at StreamingContextTests/FaultTests.swift:\(line)"),
            "\(text)")
        let batch = try #require(error.batchTime)
        #expect(text.contains("\(batch)") && text.contains("boom"), "\(text)")
        if place == .map || place == .foreachPartition {
            #expect(text.contains("partition 0, tried"), "\(text)")
        }
    }

    @Test("a task that succeeds in the end is no fault", .timeLimit(.minutes(5)))
    func retried() async throws {
        let harness = StreamHarness()
        let left = Locked(3)
        let seen = harness.record(
            harness.input([[1, 2]], partitions: 1).map { element in
                let isBad = left.withLock { left in
                    left -= 1
                    return left >= 0
                }
                if isBad { throw Boom() }
                return element
            })
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
        #expect(seen.batches.map(\.elements) == [[1, 2]])
    }

    @Test("listeners hear why an output failed", .timeLimit(.minutes(5)))
    func heard() async throws {
        let harness = StreamHarness()
        _ = declare(.foreachRDD, harness.input([[1]]), Notes<Void>())
        await #expect(throws: StreamError.self) { try await harness.run(batches: 1) }
        let infos = harness.listener.events.compactMap(\.completedBatch)
        let operation = try #require(infos.first?.outputOperationInfos[0])
        #expect(operation.failureReason == "boom" && operation.name == "foreachRDD")
        #expect(operation.description.contains("StreamingContextTests/FaultTests.swift:"))
    }

    @Test("of many errors the last thousand are kept", .timeLimit(.minutes(5)))
    func manyErrors() async throws {
        var configuration = StreamingContext.Configuration()
        configuration.failurePolicy = .continue
        let harness = StreamHarness(configuration: configuration)
        harness.input([[Int]]()).foreachRDD { _ in throw Boom() }
        try await harness.run(batches: 1005)
        #expect(harness.errors.count == 1000)
        #expect(harness.errors.first?.batchTime == .seconds(6))
        #expect(harness.errors.last?.batchTime == .seconds(1005))
    }
}
