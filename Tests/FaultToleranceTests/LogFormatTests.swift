import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// The page on the format says what the log writes.
@Suite(.timeLimit(.minutes(5))) struct LogFormatTests {
    private let path = "/log/log-1000-61000"

    /// The examples on the page: a segment, then the extent.
    private func examples() throws -> [[UInt8]] {
        let page = try RepositoryFile("Docs/Formats/WriteAheadLog.md").text
        let blocks = page.split(separator: "```hex\n").dropFirst()
        return blocks.map { block in
            block.split(separator: "\n").prefix { $0 != "```" }.flatMap { line in
                line.split(separator: " ").dropFirst().compactMap { UInt8($0, radix: 16) }
            }
        }
    }

    @Test func theExampleIsRead() async throws {
        let medium = SimulatedStorageMedium()
        medium.setDirectory("/log")
        let examples = try examples()
        try #require(examples.count == 2)
        medium.setContents(of: path, to: examples[0])
        medium.setContents(of: "/log/extent", to: examples[1])
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        var records: [LogRecord] = []
        for try await record in log.records() { records.append(record) }
        #expect(records.map(\.bytes) == [Array("a".utf8), Array("café".utf8)])
        #expect(records.map(\.time) == [.milliseconds(1000), .milliseconds(1500)])
        #expect(medium.contents(of: path) == examples[0])
        #expect(medium.contents(of: "/log/extent") == examples[1])
    }

    @Test func theExampleIsWritten() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        _ = try await log.write(Array("a".utf8), time: .milliseconds(1000))
        _ = try await log.write(Array("café".utf8), time: .milliseconds(1500))
        await log.close()
        let written = [path, "/log/extent"].map { medium.contents(of: $0) }
        #expect(try written == examples())
    }
}
