import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

/// Reading a stream's batches from outside.
@Suite(.timeLimit(.minutes(5))) struct SliceTests {
    @Test
    func slicesCanBeTakenInAnOutputOperation() async throws {
        let harness = StreamHarness()
        let stream = harness.input([[1], [2], nil, [4]]).map { $0 * 10 }.remember(.seconds(5))
        let seen = harness.record(
            stream.map { $0 }.transform { rdd, time in
                let last = try await stream.slice(from: time - .seconds(1), through: time)
                #expect(last.last?.context.batchMilliseconds == time.milliseconds)
                return last.dropFirst().reduce(last[0]) { $0.union($1) }
            })
        stream.foreachRDD { _, time in
            let all = try await stream.slice(from: .zero, through: time)
            #expect(all.count == [1, 2, 2, 3][Int(time.milliseconds / 1000) - 1])
        }
        try await harness.run(batches: 2)
        #expect(seen.batches.map(\.elements) == [[10], [10, 20]])
    }

    @Test
    func batchesReadAheadAreMadeAgainWhenTheyCome() async throws {
        let harness = StreamHarness()
        let calls = Locked([BatchTime]())
        let input = harness.input([[1], [2], [3]]).transform { rdd, time in
            calls.withLock { $0.append(time) }
            return rdd
        }
        let recorder = harness.record(input)
        input.foreachRDD { _, time in
            guard time == .seconds(1) else { return }
            let ahead = try await input.slice(from: .seconds(1), through: .seconds(3))
            #expect(ahead.count == 3)
        }
        try await harness.run(batches: 3)
        #expect(recorder.batches.map(\.elements) == [[1], [2], [3]])
        let made = calls.withLock { $0 }
        #expect(made.filter { $0 == .seconds(1) }.count == 1)
        #expect(made.filter { $0 == .seconds(2) }.count == 2)
    }

    @Test
    func timesAtTheEndsOfTheRange() async throws {
        let harness = StreamHarness(startTime: .seconds(1_700_000_000))
        let input = harness.input([[1], [2]]).remember(.seconds(5))
        let counts = Locked([Int]())
        input.foreachRDD { _, time in
            let (first, last) = (BatchTime(milliseconds: .min), BatchTime(milliseconds: .max))
            let all = try await input.slice(from: first, through: time)
            counts.withLock { $0.append(all.count) }
            #expect(try await input.slice(from: first, through: first).isEmpty)
            #expect(try await input.slice(from: last, through: first).isEmpty)
            let error = await #expect(throws: StreamError.self) {
                try await input.slice(from: .zero, through: last)
            }
            #expect(error?.code == .badDeclaration && error?.site?.name == "slice")
            await #expect(throws: CancellationError.self) {
                try await withThrowingTaskGroup(of: Int.self) { group in
                    group.addTask {
                        try await input.slice(from: time, through: time + .seconds(1_000_000)).count
                    }
                    group.cancelAll()
                    for try await _ in group {}
                }
            }
        }
        try await harness.run(batches: 2)
        #expect(counts.withLock { $0 } == [1, 2])
    }

    @Test func nothingCanBeReadBeforeTheStartOrAfterTheStop() async throws {
        let harness = StreamHarness()
        let input = harness.input([[1]])
        let unused = input.map { $0 }
        _ = harness.record(input)
        await expect(.notStarted) { try await input.slice(from: .zero, through: .seconds(1)) }
        input.foreachRDD { _ in
            await expect(.notStarted) { try await unused.slice(from: .zero, through: .seconds(1)) }
        }
        try await harness.run(batches: 1)
        await expect(.alreadyStopped) { try await input.slice(from: .zero, through: .seconds(1)) }
    }
}

private func expect(
    _ code: StreamError.Code, _ slice: @Sendable () async throws -> [RDD<Int>]
) async {
    do {
        _ = try await slice()
        Issue.record("RDDs were read")
    } catch {
        #expect((error as? StreamError)?.code == code)
    }
}
