import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Under `.continue`, a batch that fails in programs whose windows slide by several batches.
@Suite("Failed batches and sliding windows", .timeLimit(.minutes(5)))
struct SlidingFailureTests {
    private static let (window, slide) = (Duration.seconds(4), Duration.seconds(2))

    /// What the outputs have seen: lines by window, and how often a line was counted so far.
    private struct Outputs {
        var windows: OutputRecorder<String>
        var counts: OutputRecorder<(String, Int)>
        var slidCounts: OutputRecorder<(String, Int)>

        init(_ harness: StreamHarness, _ root: WatchedDirectory) {
            let lines = harness.ssc.textFileStream(root.path)
            let totals = lines.map { ($0, 1) }.updateStateByKey { values, sum -> Int? in
                (sum ?? 0) + values.reduce(0, +)
            }
            windows = harness.record(lines.window(window, slide: slide))
            counts = harness.record(totals)
            slidCounts = harness.record(totals.window(window, slide: slide))
        }

        var numbers: [[Int64: [Int]]] {
            func byTime<Element>(
                _ recorder: OutputRecorder<Element>, _ numbers: ([Element]) -> [Int]
            ) -> [Int64: [Int]] {
                Dictionary(
                    uniqueKeysWithValues: recorder.batches.map {
                        ($0.time.milliseconds / 1000, numbers($0.elements))
                    })
            }
            return [
                byTime(windows) { [$0.count] }, byTime(counts) { $0.map(\.1) },
                byTime(slidCounts) { $0.map(\.1) },
            ]
        }
    }

    /// What the outputs are to see of batches with one line each, without that of batch `bad`.
    private func expected(
        bad: Int64, batches: ClosedRange<Int64>, windows: [Int64]
    ) -> [[Int64: [Int]]] {
        let all = (101...batches.upperBound).filter { $0 != bad }
        let inside = windows.map { end in
            (end, all.indices.filter { (end - 3...end).contains(all[$0]) })
        }
        return [
            Dictionary(uniqueKeysWithValues: inside.map { ($0.0, [$0.1.count]) }),
            Dictionary(
                uniqueKeysWithValues: all.indices.filter { batches.contains(all[$0]) }
                    .map { (all[$0], [$0 + 1]) }),
            Dictionary(uniqueKeysWithValues: inside.map { ($0.0, $0.1.map { $0 + 1 }) }),
        ]
    }

    /// Runs batches of one file each; that of `bad` has one more, which cannot be read.
    private func run(
        _ harness: StreamHarness, _ batches: ClosedRange<Int64>, _ root: WatchedDirectory,
        bad: Int64
    ) async throws {
        for batch in batches {
            try root.write("f\(batch)", "a\n", at: batch * 1000 - 500)
            if batch == bad { try root.write("b.gz", "bad\n", at: batch * 1000 - 500) }
            try await harness.advanceAndSettle()
        }
    }

    @Test(
        "checkpoints are written, and later windows and states are right, before and after a restart",
        arguments: 101...104 as ClosedRange<Int64>)
    func unreadable(bad: Int64) async throws {
        let root = try WatchedDirectory()
        var run = DurableRun()
        run.policy = .continue
        var outputs: Outputs?
        let first = try await run.start(from: .seconds(100)) { outputs = Outputs($0, root) }
        try await self.run(first, 101...130, root, bad: bad)
        await first.ssc.stop()
        let failed = [bad + bad % 2, bad + bad % 2 + 2]
        let good = stride(from: Int64(102), through: 130, by: 2).filter { !failed.contains($0) }
        let whole = expected(bad: bad, batches: 101...130, windows: good)
        #expect(outputs?.numbers == whole)
        let files = try await CheckpointFiles(in: DurableRun.directory, run.medium)
        let record = try #require(files.newest?.record)
        #expect(record.time == .seconds(130) && record.newestCompleted == .seconds(130))
        let pending = Set([bad] + failed).sorted().map { BatchTime.seconds($0) }
        #expect(record.pendingBatches == pending)
        #expect(Set(first.errors.compactMap(\.batchTime)) == Set(pending))
        let failures = first.listener.events.filter(\.isCheckpointFailed)
        #expect(failures.isEmpty, "\(failures)")

        // The state has none of the batch, and never will; the windows lack nothing else.
        try await run.forget(for: .seconds(bad))
        let second = try await run.start(from: .seconds(130)) { outputs = Outputs($0, root) }
        try await self.run(second, 131...134, root, bad: bad)
        await second.ssc.stop(graceful: true)
        var again = expected(bad: bad, batches: 131...134, windows: failed + [132, 134])
        for batch in failed where batch != bad { again[1][batch] = whole[1][batch] }
        // Its own totals cannot be had again.
        again[2][bad] = nil
        #expect(outputs?.numbers == again)
        let letters = try await run.letters().map(\.entry)
        #expect(letters.map(\.id.batchTime) == [.seconds(bad), .seconds(bad)])
        #expect(letters.allSatisfy { $0.reason.contains("statePassed") })
    }

    /// Batch *n* has the number *n*; the windows that read batch 5 fail until it is mended.
    @Test(
        "windows of failed batches run again with all they read, however many batches came after",
        arguments: [false, true], [false, true])
    func rerun(isDirect: Bool, isReduced: Bool) async throws {
        let topic = NumberTopic()
        let isMended = Locked(false)
        var run = DurableRun()
        run.policy = .continue
        var seen: [OutputRecorder<Int64>] = []
        for (start, end) in [(1, 40), (41, 44)] as [(Int64, Int64)] {
            let feed = Feed<Int64>()
            let harness = try await run.start(from: .seconds(start - 1)) { harness in
                let input: DStream<Int64> =
                    isDirect
                    ? harness.ssc.directStream(topic).stream.map { $0 + 1 }
                    : harness.ssc.receiverStream(feed, protection: .writeAheadLog)
                var numbers = input.map { number -> Int64 in
                    if number == 5, !isMended.withLock({ $0 }) { throw Boom() }
                    return number
                }
                if isReduced { numbers = numbers.map { ($0, 1) }.reduceByKey(+).map { $0.0 } }
                seen.append(harness.record(numbers.window(Self.window, slide: Self.slide)))
            }
            for number in start...end {
                topic.grow(by: 1)
                if !isDirect { try await feed.store(block: [number]) }
                try await harness.advanceAndSettle()
            }
            await harness.ssc.stop()
            isMended.withLock { $0 = true }
        }
        func windows(_ recorder: OutputRecorder<Int64>) -> [Int64: [Int64]] {
            Dictionary(
                uniqueKeysWithValues: recorder.batches.map {
                    ($0.time.milliseconds / 1000, $0.elements.sorted())
                })
        }
        func expected(_ ends: [Int64]) -> [Int64: [Int64]] {
            Dictionary(uniqueKeysWithValues: ends.map { ($0, Array(max(1, $0 - 3)...$0)) })
        }
        let good = stride(from: Int64(2), through: 40, by: 2).filter { $0 != 6 && $0 != 8 }
        #expect(windows(seen[0]) == expected(good))
        #expect(windows(seen[1]) == expected([6, 8, 42, 44]))
    }
}
