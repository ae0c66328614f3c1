import DStreamTestKit
import Testing

import BatchEngine

/// What BufferedReader.readLine makes of the bytes, written as naively as possible.
private func expectedLines(_ bytes: [UInt8]) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var line: [UInt8] = []
    var index = 0
    while index < bytes.count {
        let byte = bytes[index]
        index += 1
        if byte == 0x0D || byte == 0x0A {
            if byte == 0x0D, index < bytes.count, bytes[index] == 0x0A { index += 1 }
            lines.append(line)
            line = []
        } else {
            line.append(byte)
        }
    }
    if !line.isEmpty { lines.append(line) }
    return lines
}

/// Random text in which line ends, divided characters and invalid bytes are frequent.
private func randomBytes(_ random: inout SeededRandom, upTo maximum: Int) -> [UInt8] {
    let pieces: [[UInt8]] = [
        [0x0A], [0x0D], [0x0D, 0x0A], Array("a".utf8), Array("line".utf8), Array("é".utf8),
        Array("漢字".utf8), Array("🙂".utf8), [0xFF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80],
        Array(repeating: 0x62, count: 40),
    ]
    var bytes: [UInt8] = []
    let count = Int.random(in: 0...maximum, using: &random)
    while bytes.count < count { bytes += pieces.randomElement(using: &random) ?? [] }
    return bytes
}

private func split(
    _ bytes: [UInt8], _ splitter: inout LineSplitter, _ random: inout SeededRandom, chunk: Int
) -> [String] {
    var lines: [String] = []
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + Int.random(in: 1...chunk, using: &random))
        if Bool.random(using: &random) {
            splitter.append(Array(bytes[start..<end]))
        } else {
            splitter.append(atLeast: end - start) { room in
                room.copyBytes(from: bytes[start..<end])
                return end - start
            }
        }
        start = end
        if Int.random(in: 0..<3, using: &random) == 0 { lines += splitter.cut()?.lines ?? [] }
    }
    return lines + (splitter.finish()?.lines ?? [])
}

@Suite("Line splitting")
struct LineSplitterTests {
    @Test("chunk boundaries do not matter", arguments: 0..<300)
    func chunkBoundariesDoNotMatter(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let bytes = randomBytes(&random, upTo: seed < 200 ? 200 : 5000)
        let expected = expectedLines(bytes).map { String(decoding: $0, as: UTF8.self) }
        let invalid = expectedLines(bytes).count { String(validating: $0, as: UTF8.self) == nil }
        for chunk in [1, 3, 17, 10_000] {
            var splitter = LineSplitter(bufferBytes: 64)
            #expect(split(bytes, &splitter, &random, chunk: chunk) == expected)
            #expect(splitter.counters.invalidUTF8Lines == invalid)
            #expect(splitter.counters.droppedBytes == 0)
        }
    }

    @Test("long lines are cut or refused alike for all chunkings", arguments: 0..<300)
    func longLines(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed) &+ 10_000)
        let bytes = randomBytes(&random, upTo: 400)
        let maximum = Int.random(in: 1...30, using: &random)
        let all = expectedLines(bytes)
        let long = all.filter { $0.count > maximum }
        for policy in [LineSplitter.LongLinePolicy.truncate, .refuse] {
            var first: ([String], LineSplitter.Counters)?
            for chunk in [1, 2, 7, 1000] {
                var splitter = LineSplitter(
                    maxLineBytes: maximum, longLines: policy, bufferBytes: 16)
                let lines = split(bytes, &splitter, &random, chunk: chunk)
                let counters = splitter.counters
                #expect(lines == first?.0 ?? lines)
                #expect(counters == first?.1 ?? counters)
                first = (lines, counters)
                switch policy {
                case .truncate:
                    #expect(counters.truncatedLines == long.count && counters.refusedLines == 0)
                    #expect(lines.count == all.count)
                    let least = long.reduce(0) { $0 + $1.count - maximum }
                    #expect((least...least + 3 * long.count).contains(counters.droppedBytes))
                case .refuse:
                    #expect(counters.refusedLines == long.count && counters.truncatedLines == 0)
                    #expect(counters.droppedBytes == long.reduce(0) { $0 + $1.count })
                    let kept = all.filter { $0.count <= maximum }
                    #expect(lines == kept.map { String(decoding: $0, as: UTF8.self) })
                }
            }
        }
    }

    @Test("a line is cut where a character ends")
    func truncatesAtCharacterBoundary() {
        var splitter = LineSplitter(maxLineBytes: 5)
        splitter.append(Array("aaa漢b\nabcde\nabcdé\n🙂🙂\n".utf8))
        #expect(splitter.cut()?.lines == ["aaa", "abcde", "abcd", "🙂"])
        #expect(splitter.counters.truncatedLines == 3)
        #expect(splitter.counters.droppedBytes == 4 + 2 + 4)
        #expect(splitter.counters.invalidUTF8Lines == 0)
    }

    @Test("an endless line keeps no more memory than allowed")
    func endlessLineIsBounded() {
        for policy in [LineSplitter.LongLinePolicy.truncate, .refuse] {
            var splitter = LineSplitter(
                maxLineBytes: 1000, longLines: policy, bufferBytes: 4096)
            let chunk = [UInt8](repeating: 0x61, count: 4096)
            for _ in 0..<1000 { splitter.append(chunk) }
            #expect(splitter.capacity <= 4 * 4096)
            splitter.append([0x0A, 0x62, 0x0A])
            let lines = splitter.finish()?.lines
            let cut = String(repeating: "a", count: 1000)
            #expect(lines == (policy == .truncate ? [cut, "b"] : ["b"]))
        }
    }

    @Test("a carriage return ends its line at once")
    func carriageReturnEndsAtOnce() {
        var splitter = LineSplitter()
        splitter.append(Array("a\r".utf8))
        #expect(splitter.cut()?.lines == ["a"])
        splitter.append(Array("\n".utf8))
        #expect(splitter.cut()?.lines == nil)
        splitter.append(Array("b".utf8))
        #expect(splitter.cut()?.lines == nil)
        #expect(splitter.finish()?.lines == ["b"])
        #expect(splitter.finish()?.lines == nil)
    }

    @Test("a large block takes over the buffer, a small one does not")
    func buffersAreHandedOver() {
        var splitter = LineSplitter(bufferBytes: 64)
        let before = splitter.base
        splitter.append(Array("short\ntail".utf8))
        let small = splitter.cut()
        #expect(small?.base != before && splitter.base == before)
        splitter.append(Array((String(repeating: "x", count: 40) + "\nmore").utf8))
        let large = splitter.cut()
        #expect(large?.base == before && splitter.base != before)
        #expect(large?.lines == ["tail" + String(repeating: "x", count: 40)])
        #expect(splitter.finish()?.lines == ["more"])
    }
}

@Suite("Line blocks")
struct LineBlockTests {
    @Test("lines, bytes and counts agree")
    func contents() {
        let lines = ["", "short", "a line of more than fifteen bytes", "é漢🙂", ""]
        let block = LineBlock(lines)
        #expect(block.lines == lines && block.count == 5 && !block.isASCII)
        #expect(block.byteCount == lines.reduce(0) { $0 + $1.utf8.count + 1 })
        let copy = block.withUnsafeBytes { LineBlock(bytes: $0) }
        #expect(copy?.lines == lines && copy?.count == 5)
        #expect(LineBlock(["a"]).isASCII)
        #expect(LineBlock([String]()).lines.isEmpty)
    }

    @Test("bytes that were never a block are refused")
    func refusesOtherBytes() {
        for bytes in [[0x61], [0xFF, 0x0A], [0xC3, 0x0A]] as [[UInt8]] {
            #expect(bytes.withUnsafeBytes { LineBlock(bytes: $0) == nil })
        }
    }

    @Test("validation agrees with the standard library", arguments: 0..<200)
    func validation(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<50 {
            let text = Bool.random(using: &random) ? "héllo wörld 漢字 🙂" : "hello, this is ASCII"
            var bytes = Array(text.utf8)
            bytes.removeFirst(Int.random(in: 0...bytes.count - 1, using: &random))
            bytes.removeLast(Int.random(in: 0...bytes.count - 1, using: &random))
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            let expected = String(validating: bytes, as: UTF8.self) != nil
            #expect(bytes.withUnsafeBytes { TextScan.isValidUTF8($0) } == expected)
        }
    }

    @Test("an error of the body ends the loop")
    func bodyMayThrow() {
        struct Enough: Error {}
        var seen: [String] = []
        #expect(throws: Enough.self) {
            try LineBlock(["a", "b", "c"]).forEachLine { line in
                seen.append(line)
                if line == "b" { throw Enough() }
            }
        }
        #expect(seen == ["a", "b"])
    }

    @Test(arguments: UInt64(1)...20)
    func aBlockIsCutByLines(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let lines = (0..<Int.random(in: 1...200, using: &random)).map { number in
            String(repeating: "é\(number)", count: Int.random(in: 0...4, using: &random))
        }
        let block = LineBlock(lines)
        var (pieces, offset): ([LineBlock], Int) = ([], 0)
        var start = 0
        while start < lines.count {
            let count = Int.random(in: 1...lines.count - start, using: &random)
            pieces.append(block.lines(count, from: &offset))
            start += count
        }
        #expect(offset == block.byteCount)
        #expect(pieces.flatMap(\.lines) == lines)
        #expect(pieces.reduce(0) { $0 + $1.byteCount } == block.byteCount)
        #expect(pieces.allSatisfy { $0.count == $0.lines.count && $0.isASCII == block.isASCII })
        var whole = 0
        #expect(block.lines(lines.count, from: &whole) === block && whole == block.byteCount)
    }
}
