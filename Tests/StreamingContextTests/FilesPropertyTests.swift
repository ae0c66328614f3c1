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
        var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
        func draw(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
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
            await harness.advance()
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
}
