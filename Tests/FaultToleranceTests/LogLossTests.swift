import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A log that has lost its end, a segment or everything is not taken for one that never had it.
@Suite(.timeLimit(.minutes(5))) struct LogLossTests {
    private static let directory = "/log"

    /// A log of three segments, all of whose records were acknowledged.
    private struct Sample {
        var medium = SimulatedStorageMedium()
        var records: [[UInt8]] = []
        var end = LogPosition(segment: 0, offset: 0)

        init(isClosed: Bool, count: Int = 9) async throws {
            let log = try await FileWriteAheadLog.open(
                LogLossTests.directory, on: medium,
                options: .init(rollingInterval: .milliseconds(1000)))
            for number in 0..<count {
                let record = [UInt8](repeating: UInt8(number), count: number * 5 % 17)
                _ = try await log.write(record, time: .milliseconds(Int64(number) * 600))
                records.append(record)
            }
            end = try #require(log.end)
            if isClosed { await log.close() }
            medium = medium.restarted()
        }

        var segments: [String] {
            get throws {
                try medium.list(LogLossTests.directory).filter { $0.hasPrefix("log-") }
                    .map { LogLossTests.directory + "/" + $0 }
            }
        }
    }

    private func read(
        _ medium: SimulatedStorageMedium, reliedOn: [LogPosition] = []
    ) async throws -> [[UInt8]] {
        try await FileWriteAheadLog.open(Self.directory, on: medium, reliedOn: reliedOn).readAll()
    }

    private func refusal(
        _ medium: SimulatedStorageMedium, reliedOn: [LogPosition] = []
    ) async -> LogError? {
        await #expect(throws: LogError.self) { try await self.read(medium, reliedOn: reliedOn) }
    }

    @Test("any segment that was removed or emptied is missed", arguments: [true, false])
    func segments(isClosed: Bool) async throws {
        let paths = try await Sample(isClosed: isClosed).segments
        try #require(paths.count > 2)
        for path in paths {
            for length in [nil, 0, 71, 72] as [Int?] {
                let sample = try await Sample(isClosed: isClosed)
                if let length {
                    let bytes = try #require(sample.medium.contents(of: path))
                    sample.medium.setContents(of: path, to: Array(bytes.prefix(length)))
                } else {
                    try sample.medium.remove(path)
                }
                // Of the newest one in use, the header alone is what it had at first.
                let mayCut = length == 72 && path == paths.last && !isClosed
                let error = await refusal(sample.medium, reliedOn: mayCut ? [sample.end] : [])
                #expect(error?.code == .damaged, "\(path) cut to \(length as Any)")
                #expect(error?.message.contains(Self.directory) == true)
                #expect(error?.message.contains("\"damaged log\" in Docs/Messages.md") == true)
            }
        }
    }

    @Test("a log that a checkpoint relies on and that is gone is refused")
    func everything() async throws {
        let sample = try await Sample(isClosed: true)
        for name in try sample.medium.list(Self.directory) {
            try sample.medium.remove(Self.directory + "/" + name)
        }
        let error = await refusal(sample.medium, reliedOn: [sample.end])
        #expect(error?.message.contains("/log at byte 0: expected the log") == true)
        // Without a checkpoint it is a new one.
        #expect(try await read(sample.medium).isEmpty)
        #expect(await refusal(sample.medium.restarted(), reliedOn: [sample.end]) != nil)
    }

    @Test("a log whose list of segments is gone is refused")
    func extent() async throws {
        let sample = try await Sample(isClosed: true)
        try sample.medium.remove("/log/extent")
        #expect(await refusal(sample.medium)?.message.contains("/log/extent") == true)
    }

    @Test("after the end of a program the last byte may be missing, and three bytes flipped")
    func lastBytes() async throws {
        for damaged in 0..<24 {
            let sample = try await Sample(isClosed: false)
            let path = try #require(try sample.segments.last)
            var bytes = try #require(sample.medium.contents(of: path))
            if damaged == 0 {
                bytes.removeLast()
            } else {
                bytes[bytes.count - 1 - damaged / 8] ^= 1 << UInt8(damaged % 8)
            }
            sample.medium.setContents(of: path, to: bytes)
            #expect(try await read(sample.medium, reliedOn: [sample.end]) == sample.records)
            // Once more: it was mended.
            #expect(try await read(sample.medium.restarted()) == sample.records)
        }
    }

    @Test("what a checkpoint relies on is not cut, and what comes after it is")
    func reliedOn() async throws {
        let path = try #require(try await Sample(isClosed: false).segments.last)
        let whole = try await Sample(isClosed: false).medium.contents(of: path)?.count ?? 0
        for count in 73..<whole {
            let sample = try await Sample(isClosed: false)
            let bytes = Array(try #require(sample.medium.contents(of: path)).prefix(count))
            sample.medium.setContents(of: path, to: bytes)
            if count >= Int(sample.end.offset) {
                #expect(try await read(sample.medium, reliedOn: [sample.end]) == sample.records)
                continue
            }
            let error = await refusal(sample.medium, reliedOn: [sample.end])
            #expect(error?.message.contains("on which a checkpoint relies") == true)
            #expect(sample.medium.contents(of: path) == bytes, "nothing is changed")
            // An earlier one is reached; the newer one may still be mended.
            let earlier = LogPosition(segment: sample.end.segment, offset: 72)
            let log = try await FileWriteAheadLog.open(
                Self.directory, on: sample.medium.restarted(), reliedOn: [earlier, sample.end])
            #expect(log.reaches(earlier) && !log.reaches(sample.end))
            #expect(sample.medium.contents(of: path) == bytes, "nothing is cut")
        }
    }

    @Test("a log that was closed in order has all its records, or is refused")
    func closed() async throws {
        let sample = try await Sample(isClosed: true)
        let path = try #require(try sample.segments.last)
        let whole = try #require(sample.medium.contents(of: path))
        for count in 0..<whole.count {
            let medium = sample.medium.restarted()
            medium.setContents(of: path, to: Array(whole.prefix(count)))
            guard let found = try? await read(medium) else { continue }
            #expect(found == sample.records, "cut to \(count)")
        }
    }

    @Test("segments that were cleaned are not missed, also when all were")
    func cleaned() async throws {
        let sample = try await Sample(isClosed: true)
        let log = try await FileWriteAheadLog.open(Self.directory, on: sample.medium)
        try await log.clean(before: .seconds(2))
        let left = try await log.readAll()
        #expect(!left.isEmpty && left.count < sample.records.count)
        await log.close()
        let again = sample.medium.restarted()
        #expect(try await read(again, reliedOn: [sample.end]) == left)
        let third = again.restarted()
        let emptied = try await FileWriteAheadLog.open(
            Self.directory, on: third, reliedOn: [sample.end])
        try await emptied.clean(before: .seconds(1000))
        let end = try #require(emptied.end)
        await emptied.close()
        let after = third.restarted()
        let next = try await FileWriteAheadLog.open(
            Self.directory, on: after, reliedOn: [sample.end])
        #expect(try await next.readAll().isEmpty)
        #expect(next.reaches(end))
        _ = try await next.write([1], time: .zero)
        #expect(try await read(after.restarted(), reliedOn: [try #require(next.end)]) == [[1]])
    }

    /// A log as version 1 left it: without marks and without a list of segments.
    @Test func theFirstVersionIsRead() async throws {
        let bytes = try RepositoryFile("Tests/Fixtures/log-v1/log-1000-61000").bytes
        let medium = SimulatedStorageMedium()
        medium.setDirectory(Self.directory)
        medium.setContents(of: "/log/log-1000-61000", to: bytes)
        let log = try await FileWriteAheadLog.open(Self.directory, on: medium)
        #expect(try await log.readAll() == [Array("a".utf8), Array("café".utf8)])
        _ = try await log.write([7], time: .seconds(2))
        #expect(
            try await read(medium.restarted())
                == [Array("a".utf8), Array("café".utf8), [7]])
        // From now on it is known which segments there are.
        let after = medium.restarted()
        try after.remove("/log/log-1000-61000")
        #expect(await refusal(after)?.code == .damaged)
    }
}
