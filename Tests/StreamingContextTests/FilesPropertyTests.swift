import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Files that come, change, move and go at random.
@Suite("Random histories of files")
struct FilesPropertyTests {
    /// Every file whose modification time allows it gives its lines exactly once.
    @Test(.timeLimit(.minutes(5)), arguments: 0..<30 as Range<UInt64>)
    func everyFileIsReadOnce(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        func draw(_ limit: Int) -> Int { random.int(0...limit - 1) }
        let root = try WatchedDirectory()
        let window = Int64(1 + draw(4)) * 1000
        let harness = StreamHarness.forFiles(
            remember: .milliseconds(window - Int64(draw(999))), detection: .byModificationTime)
        let lines = harness.record(harness.ssc.textFileStream("\(root.path)/{x,y}*"))
        try await harness.ssc.start()
        var expected: [[String]] = []
        var waiting: [(line: String, modified: Int64, seen: Int64)] = []
        var count = 0
        for batch in stride(from: Int64(101_000), through: 112_000, by: 1000) {
            for _ in 0..<draw(4) {
                count += 1
                let modified = batch + Int64(draw(7000)) - 5000
                let name = ["", ".", "_"][draw(5) % 3] + "f\(count)"
                let directory = ["x", "y2", "z"][draw(3)]
                try root.write("\(directory)/\(name)", "\(count)\n", at: modified)
                if name.hasPrefix("f"), directory != "z" {
                    waiting.append(("\(count)", modified, batch))
                }
            }
            try await harness.advance()
            let chosen = waiting.filter { file in
                file.modified > max(100_000, batch - window) && file.modified <= batch
            }
            expected.append(chosen.map(\.line).sorted())
            waiting.removeAll { $0.modified <= batch }
        }
        await harness.ssc.stop()
        #expect(harness.errors.isEmpty)
        #expect(lines.batches.map { $0.elements.sorted() } == expected)
    }

    /// By appearance, every file that is there when a batch looks gives its lines to one batch,
    /// whatever its times, over clocks that are set, restarts and skipped batches.
    @Test(
        .enabled(if: WatchedDirectory.tellsBirths), .timeLimit(.minutes(5)),
        arguments: 0..<20 as Range<UInt64>)
    func everyFileThatAppearsIsReadOnce(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        func draw(_ limit: Int) -> Int { random.int(0...limit - 1) }
        let root = try WatchedDirectory()
        var medium = SimulatedStorageMedium()
        var (start, count): (Int64, Int) = (100, 0)
        var (pending, expected): ([String: Int], [Int]) = ([:], [])
        var results: [BatchTime: [Int]] = [:]
        func change(isDown: Bool) throws {
            for _ in 0..<draw(4) {
                count += 1
                // While it is down, files of batches that may run again stay.
                let file = isDown ? "new\(count)" : "f\(draw(6))"
                let name = "\(["x", "y"][draw(2)])/\(file)"
                if draw(3) == 0 { try root.remove(name) }
                try root.write(name, "\(count)\n", at: Int64(draw(300_000)), isTold: true)
                pending[name] = count
            }
        }
        for _ in 0..<4 {
            let harness = StreamHarness.forFiles(
                lateBatches: draw(2) == 0 ? .generate : .skip, from: .seconds(start),
                medium: medium)
            let numbers = harness.ssc.textFileStream("\(root.path)/{x,y}").map { Int($0) ?? -1 }
            let lines = harness.record(numbers)
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/c") { harness.ssc }
            try await harness.ssc.start()
            for round in 0..<4 {
                // In the first, batches of the earlier run may run again.
                if round > 0 { try change(isDown: false) }
                if draw(4) == 0 { harness.clock.stepWall(by: .seconds(Int64(draw(400)) - 200)) }
                try await harness.advance()
                expected += pending.values
                pending = [:]
            }
            await harness.ssc.stop(graceful: draw(2) == 0)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
            for batch in lines.batches {
                let elements = batch.elements.sorted()
                if let before = results[batch.time] { #expect(before == elements) }
                results[batch.time] = elements
            }
            start += 5 + Int64(draw(10))
            try change(isDown: true)
            medium = medium.restarted()
        }
        #expect(results.values.flatMap { $0 }.sorted() == expected.sorted())
    }
}
