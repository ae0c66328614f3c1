import BatchEngine
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A descriptor whose reader has stopped without going.
@Suite(.timeLimit(.minutes(5)))
struct BackgroundWriterTests {
    private let reader: Int32
    private let writer: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
    }

    /// Reads until a text has come.
    private func text(through end: String) -> String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while !String(decoding: bytes, as: UTF8.self).hasSuffix(end) {
            let count = read(reader, &piece, piece.count)
            if count <= 0 { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func lines(_ range: Range<Int>) -> [String] { range.map { "line \($0) of a log\n" } }

    @Test func nobodyWaitsForTheReader() {
        let output = BackgroundWriter(writer)
        // More than a pipe holds.
        let lines = lines(0..<20_000)
        for line in lines { output.write(line) }
        output.write("end\n")
        #expect(text(through: "end\n") == lines.joined() + "end\n")
        output.flush()
        output.write("afterwards\n")
        #expect(text(through: "afterwards\n") == "afterwards\n")
        close(reader)
        close(writer)
    }

    @Test func whatIsTooMuchIsDroppedAndCounted() {
        let output = BackgroundWriter(writer, maximumByteCount: 1000)
        for line in lines(0..<20_000) { output.write(line) }
        let text = text(through: "nobody read them]\n")
        #expect(text.hasPrefix("line 0 of a log\nline 1 of a log\n"))
        var (dropped, written) = (0, 0)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("[") {
                dropped += Int(line.dropFirst().prefix { $0.isNumber }) ?? 0
            } else {
                #expect(line.hasPrefix("line ") && line.hasSuffix(" of a log"), "\(line)")
                written += 1
            }
        }
        // Further notes may follow the one that was waited for.
        #expect(dropped > 0 && dropped + written <= 20_000)
        output.flush()
        output.write("end\n")
        let rest = self.text(through: "end\n").split(separator: "\n").dropLast()
        #expect(rest.isEmpty || dropped + written < 20_000)
        close(reader)
        close(writer)
    }

    @Test func aReaderThatHasGoneTakesNothing() {
        ProcessOutput.ignoreBrokenPipes()
        close(reader)
        let output = BackgroundWriter(writer)
        for line in lines(0..<100) { output.write(line) }
        output.flush()
        close(writer)
    }
}
