import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// What skipped batches would have read is the next one's.
@Suite("Skipped batches lose no input", .timeLimit(.minutes(5)))
struct FilesLateTests {
    @Test("a pause loses no file", arguments: FileDetection.allCases, [5, 10] as [Int64])
    func pause(detection: FileDetection, minutes: Int64) async throws {
        let root = try WatchedDirectory()
        let warnings = Notes<String>()
        let harness = StreamHarness.forFiles(
            detection: detection, lateBatches: .skip, from: .seconds(1000), warnings)
        let lines = harness.record(harness.ssc.textFileStream(root.path))
        try await harness.ssc.start()
        try root.write("a", "a\n", at: 1_000_500)
        try await harness.advance()
        for minute in 0..<minutes {
            try root.write("\(minute)", "\(minute)\n", at: 1_000_000 + (minute + 1) * 60_000 - 500)
        }
        // Stopped by its terminal, or a machine that slept.
        harness.clock.advance(by: .seconds(60 * minutes))
        try await harness.listener.batchSettled(.seconds(1001 + 60 * minutes))
        try await harness.advance()
        await harness.ssc.stop()
        let expected = (0..<minutes).map { "\($0)" }
        #expect(lines.batches.map { $0.elements.sorted() } == [["a"], expected, []])
        #expect(warnings.all.allSatisfy { $0.contains("were skipped") }, "\(warnings.all)")
    }

    @Test("a window that asks for skipped batches takes none", arguments: FileDetection.allCases)
    func window(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let harness = StreamHarness.forFiles(
            detection: detection, lateBatches: .skip, from: .seconds(1000))
        let stream = harness.ssc.textFileStream(root.path)
        let window = harness.record(stream.window(.seconds(60)))
        let lines = harness.record(stream)
        try await harness.ssc.start()
        try await harness.advance()
        for number in 0..<3 as Range<Int64> {
            try root.write("\(number)", "\(number)\n", at: 1_001_500 + number * 1000)
        }
        harness.clock.advance(by: .seconds(5))
        try await harness.listener.batchSettled(.seconds(1006))
        await harness.ssc.stop()
        for batches in [window.batches, lines.batches] {
            #expect(batches.map { $0.elements.sorted() } == [[], ["0", "1", "2"]])
        }
    }

    @Test("nor does a stop of ten minutes", arguments: FileDetection.allCases)
    func stopped(detection: FileDetection) async throws {
        let root = try WatchedDirectory()
        let medium = SimulatedStorageMedium()
        var all: [[String]] = []
        for (run, start) in [1000, 1602].enumerated() as EnumeratedSequence<[Int64]> {
            let harness = StreamHarness.forFiles(
                detection: detection, lateBatches: .skip, from: .seconds(start),
                medium: run == 0 ? medium : medium.restarted())
            let lines = harness.record(harness.ssc.textFileStream(root.path))
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            try root.write("run\(run)", "run\(run)\n", at: start * 1000 + 500)
            try await harness.advance()
            await harness.ssc.stop(graceful: true)
            all += lines.batches.map { $0.elements.sorted() }.filter { !$0.isEmpty }
            for minute in 0..<10 as Range<Int64> {
                let time = 1_001_000 + minute * 60_000 + 500
                if run == 0 { try root.write("m\(minute)", "m\(minute)\n", at: time) }
            }
        }
        #expect(all.flatMap { $0 }.sorted() == ((0..<10).map { "m\($0)" } + ["run0", "run1"]))
    }

    /// A partition whose records come one by one.
    @Test("nor an offset, within the rate limit")
    func direct() async throws {
        let source = NumberTopic()
        let harness = StreamHarness.forFiles(lateBatches: .skip)
        let seen = harness.record(harness.ssc.directStream(source, maxRatePerPartition: 4).stream)
        try await harness.ssc.start()
        source.grow(by: 10)
        harness.clock.advance(by: .seconds(60))
        try await harness.listener.batchSettled(.seconds(160))
        try await harness.advance()
        try await harness.advance()
        await harness.ssc.stop()
        #expect(seen.batches.map(\.elements) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
    }

    /// Two batches run whose checkpoints are not kept; then the program is down for a while.
    @Test("a batch that was begun before a crash runs again, and is not skipped")
    func begun() async throws {
        var medium = SimulatedStorageMedium()
        let source = NumberTopic()
        var all: [[Int64]] = []
        for start in [100, 110] as [Int64] {
            let harness = StreamHarness.forFiles(
                lateBatches: .skip, from: .seconds(start), medium: medium)
            let seen = harness.record(harness.ssc.directStream(source).stream)
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            // Of those missed, the newest alone is late by nothing; once the clock has moved it is, too.
            if start == 110 { try await harness.listener.batchSettled(.seconds(110)) }
            source.grow(by: 1)
            try await harness.advance()
            if start == 100 {
                medium.fail {
                    $0.kind == .create && $0.path.hasPrefix("/c/checkpoint-") ? .failed : nil
                }
                for _ in 0..<2 {
                    source.grow(by: 2)
                    try await harness.advanceUntilCompleted()
                }
            }
            await harness.ssc.stop()
            all += seen.batches.map(\.elements)
            medium = medium.restarted()
        }
        #expect(all == [[0], [1, 2], [3, 4], [1, 2], [3, 4], [], [5]])
    }
}
