import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// Bytes that are missing or wrong.
@Suite(.timeLimit(.minutes(5))) struct LogDamageTests {
    /// A log of two segments, its files and its records.
    private struct Sample {
        var files: [String: [UInt8]] = [:]
        var records: [[UInt8]] = []
        let first = "/log/log-0-1000"
        let last = "/log/log-5000-6000"
        /// Where each record of the last segment ends, and the number of those before it.
        var ends: [Int] = []
        var earlier = 0

        init(isClosed: Bool) async throws {
            let medium = SimulatedStorageMedium()
            let log = try await FileWriteAheadLog.open(
                "/log", on: medium, options: .init(rollingInterval: .milliseconds(1000)))
            var end = 72
            for (number, time) in [0, 10, 5000, 5001, 5002, 5003].enumerated() {
                let record = [UInt8](repeating: UInt8(number + 1), count: number * 3)
                _ = try await log.write(record, time: .milliseconds(Int64(time)))
                records.append(record)
                if time < 5000 {
                    earlier += 1
                } else {
                    // Behind each group of records is a mark.
                    end += 24 + record.count
                    ends.append(end)
                    end += 24
                }
            }
            if isClosed { await log.close() }
            for path in [first, last, "/log/extent"] { files[path] = medium.contents(of: path) }
        }

        func medium(replacing path: String? = nil, with bytes: [UInt8]? = nil)
            -> SimulatedStorageMedium
        {
            let medium = SimulatedStorageMedium()
            medium.setDirectory("/log")
            for (name, contents) in files {
                if name == path, bytes == nil { continue }
                medium.setContents(of: name, to: name == path ? bytes ?? [] : contents)
            }
            return medium
        }
    }

    private func read(_ medium: SimulatedStorageMedium) async throws -> [[UInt8]] {
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        return try await log.readAll()
    }

    private func error(_ medium: SimulatedStorageMedium) async -> LogError? {
        await #expect(throws: LogError.self) { try await self.read(medium) }
    }

    @Test func aTailTornAtEveryByteIsCut() async throws {
        let sample = try await Sample(isClosed: false)
        let whole = try #require(sample.files[sample.last])
        #expect(whole.count == sample.ends.last.map { $0 + 24 })
        let rubbish = (0..<40).map { UInt8($0 &* 37 & 255) }
        for cut in 0...whole.count {
            for tail in [[], [0], [UInt8](repeating: 0, count: 100), rubbish] as [[UInt8]] {
                // A file without its header has no records, and nothing behind the header.
                if cut < 72, cut + tail.count > 72 { continue }
                let torn = Array(whole.prefix(cut)) + tail
                if torn != whole, torn.starts(with: whole.prefix(cut + 1)) { continue }
                let medium = sample.medium(replacing: sample.last, with: torn)
                if cut < 72 {
                    // The extent names it: it had a header.
                    #expect(await error(medium)?.code == .damaged)
                    continue
                }
                let expected = sample.earlier + sample.ends.count { $0 <= cut }
                #expect(
                    try await read(medium) == Array(sample.records.prefix(expected)),
                    "cut at \(cut)")
                let rest = medium.contents(of: sample.last)
                #expect(rest?.count == (sample.ends.last { $0 <= cut } ?? 72) + 24)
            }
        }
    }

    @Test func aFlippedBitIsFoundOrHarmless() async throws {
        for isClosed in [false, true] {
            let sample = try await Sample(isClosed: isClosed)
            for (path, whole) in sample.files {
                for bit in 0..<(whole.count * 8) {
                    var bytes = whole
                    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                    let medium = sample.medium(replacing: path, with: bytes)
                    guard let found = try? await read(medium) else { continue }
                    #expect(found == sample.records, "bit \(bit) of \(path)")
                }
            }
        }
    }

    @Test func damageSaysWhereAndWhat() async throws {
        let sample = try await Sample(isClosed: false)
        var bytes = try #require(sample.files[sample.last])
        bytes[sample.ends[1] - 1] ^= 1
        let error = await error(sample.medium(replacing: sample.last, with: bytes))
        #expect(error?.code == .damaged)
        #expect(
            error?.message.hasPrefix(
                "/log/log-5000-6000 at byte \(sample.ends[0] + 24): expected a whole record")
                == true)
        bytes = try #require(sample.files[sample.first])
        bytes[bytes.count - 25] ^= 1
        let other = await self.error(sample.medium(replacing: sample.first, with: bytes))
        #expect(other?.message.contains("/log/log-0-1000 at byte 120: expected checksum") == true)
    }

    @Test func aLostEndOfAnEarlierSegmentIsDamage() async throws {
        let sample = try await Sample(isClosed: false)
        let bytes = try #require(sample.files[sample.first])
        for count in 73..<(bytes.count - 24) {
            let medium = sample.medium(
                replacing: sample.first, with: Array(bytes.prefix(count)))
            let error = await error(medium)
            #expect(error?.code == .damaged)
            #expect(medium.contents(of: sample.first)?.count == count, "nothing is changed")
        }
    }

    @Test func aMissingSegmentIsDamage() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open(
            "/log", on: medium, options: .init(closeFileAfterWrite: true))
        for time in 0..<3 as Range<Int64> {
            _ = try await log.write([1], time: .milliseconds(time))
        }
        await log.close()
        try medium.remove("/log/log-1-60001")
        let error = await error(medium)
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("segment number 2 before log-2-60002") == true)
    }

    @Test func aLengthFieldOfRubbishAllocatesNothing() async throws {
        let sample = try await Sample(isClosed: false)
        let whole = try #require(sample.files[sample.last])
        let medium = sample.medium(
            replacing: sample.last, with: whole + [UInt8](repeating: 255, count: 30))
        #expect(try await read(medium) == sample.records)
        let longest = medium.operations.map(\.byteCount).max() ?? 0
        #expect(longest <= 1 << 20)
    }

    /// A header that is intact and has a number that no segment ever gets.
    @Test func aNumberWithNoneAboveIsDamage() async throws {
        let sample = try await Sample(isClosed: true)
        for number in [0, UInt64(1) << 62, UInt64(1) << 63, UInt64.max] {
            var bytes = try #require(sample.files[sample.last])
            withUnsafeBytes(of: number.littleEndian) { bytes.replaceSubrange(16..<24, with: $0) }
            let checksum = Checksum.crc32c(Array(bytes.prefix(68)))
            withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(68..<72, with: $0) }
            let error = await error(sample.medium(replacing: sample.last, with: bytes))
            #expect(error?.code == .damaged)
            #expect(error?.message.contains("expected the header of a segment") == true)
        }
    }

    @Test func unknownFilesAndVersionsAreRefused() async throws {
        let sample = try await Sample(isClosed: true)
        for name in ["log-1", "log-1-2-3", "log-01-2", "log-1-2.x", "log-1-2.0", "log-a-b"] {
            let medium = sample.medium()
            medium.setContents(of: "/log/" + name, to: [])
            let error = await error(medium)
            #expect(error?.code == .unsupported)
            #expect(error?.message.contains(name) == true)
        }
        let other = sample.medium()
        other.setContents(of: "/log/readme", to: [1])
        #expect(try await read(other) == sample.records)
        var newer = try #require(sample.files[sample.last])
        newer[8] = 3
        let checksum = Checksum.crc32c(Array(newer.prefix(68)))
        for byte in 0..<4 { newer[68 + byte] = UInt8(checksum >> (8 * UInt32(byte)) & 255) }
        let error = await error(sample.medium(replacing: sample.last, with: newer))
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("version 3") == true)
        let moved = sample.medium()
        moved.setContents(of: "/log/log-7-8", to: try #require(sample.files[sample.last]))
        #expect(await self.error(moved)?.code == .damaged)
    }

    @Test func aHandleOfARemovedRecordDoesNotGiveAnother() async throws {
        let medium = SimulatedStorageMedium()
        let first = try await FileWriteAheadLog.open("/log", on: medium)
        let handle = try await first.write([1], time: .zero)
        try await first.clean(before: .seconds(1000))
        #expect(try await first.read(handle) == [1], "what is being written stays")
        await first.close()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        try await log.clean(before: .seconds(1000))
        let other = try await log.write([2], time: .zero)
        #expect(try await log.read(other) == [2])
        let error = await #expect(throws: LogError.self) { try await log.read(handle) }
        #expect(error?.code == .missing)
    }
}
