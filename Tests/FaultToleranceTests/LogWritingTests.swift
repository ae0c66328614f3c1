import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct LogWritingTests {
    @Test func concurrentWritersShareAFlush() async throws {
        let medium = SimulatedStorageMedium()
        let history = LogHistory(steps: [
            .write(time: 0, count: 1), .group([Int64](repeating: 0, count: 101)),
        ])
        let outcome = await history.run(on: medium)
        #expect(outcome.acknowledged.count == 102)
        let syncs = medium.operations.filter { $0.kind == .sync && $0.path.contains("log-") }
        // The segment's header, the first record, the one that held up the others, and these.
        #expect(syncs.count == 4)
    }

    @Test func aNegativeRollingIntervalGivesEachGroupASegment() async throws {
        let medium = SimulatedStorageMedium()
        var options = FileWriteAheadLog.Options()
        options.rollingInterval = .seconds(-1)
        let log = try await FileWriteAheadLog.open("/log", on: medium, options: options)
        for number in 1...3 as ClosedRange<UInt8> {
            _ = try await log.write([number], time: .seconds(5))
        }
        #expect(try await log.readAll() == [[1], [2], [3]])
    }

    @Test func aGroupIsBoundedInBytes() async throws {
        let medium = SimulatedStorageMedium()
        var history = LogHistory(steps: [.group([Int64](repeating: 0, count: 60))])
        history.options.groupByteMaximum = 300
        let outcome = await history.run(on: medium)
        #expect(outcome.acknowledged.count == 60)
        let sizes = medium.operations.filter { $0.kind == .append }.map(\.byteCount)
        #expect(sizes.allSatisfy { $0 <= 300 })
        #expect(sizes.count > 5)
    }

    @Test func aFullDiskFailsTheGroupAndLeavesTheSegment() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        _ = try await log.write([1], time: .zero)
        medium.fail { $0.kind == .append ? .full : nil }
        for _ in 0..<2 {
            let error = await #expect(throws: LogError.self) {
                try await log.write([2], time: .zero)
            }
            #expect(error?.code == .writeFailed)
            #expect(error?.storage?.code == .full)
        }
        medium.fail(where: nil)
        let handle = try await log.write([3], time: .zero)
        #expect(handle.place.hasPrefix("log-0-60000.1:72:1:"))
        #expect(try await log.readAll() == [[1], [3]])
        #expect(try medium.list("/log") == ["extent", "lock", "log-0-60000", "log-0-60000.1"])
        let again = try await FileWriteAheadLog.open("/log", on: medium.restarted())
        #expect(try await again.readAll() == [[1], [3]])
    }

    @Test func aSegmentThatIsRemovedTakesNoMoreRecords() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        _ = try await log.write([1], time: .zero)
        try medium.remove("/log/log-0-60000")
        let error = await #expect(throws: LogError.self) { try await log.write([2], time: .zero) }
        #expect(error?.code == .writeFailed && error?.storage?.code == .notFound)
        #expect("\(try #require(error))".contains("/log/log-0-60000: the file was removed"))
        _ = try await log.write([3], time: .zero)
        // What was acknowledged before is gone, and the next start says so.
        let loss = await #expect(throws: LogError.self) {
            try await FileWriteAheadLog.open("/log", on: medium.restarted())
        }
        #expect(loss?.code == .damaged)
        #expect(loss?.message.contains("segment number 1 before log-0-60000.1") == true)
    }

    @Test(arguments: [1, 2, 3])
    func aGroupThatFailsIsWrittenIntoAnotherSegment(failures: Int) async throws {
        let medium = SimulatedStorageMedium()
        var options = FileWriteAheadLog.Options()
        options.maxFailures = 3
        let log = try await FileWriteAheadLog.open("/log", on: medium, options: options)
        _ = try await log.write([1], time: .zero)
        let left = Locked(failures)
        medium.fail { operation in
            guard operation.kind == .sync else { return nil }
            return left.withLock { left in
                left -= 1
                return left >= 0 ? .failed : nil
            }
        }
        let handle = try await log.write([2], time: .zero)
        #expect(try await log.read(handle) == [2])
        medium.fail(where: nil)
        _ = try await log.write([3], time: .zero)
        for seed in 0..<50 as Range<UInt64> {
            let again = try await FileWriteAheadLog.open(
                "/log", on: medium.restarted().reopened(seed: seed))
            #expect(try await again.readAll() == [[1], [2], [3]])
        }
    }

    @Test func aFailedFlushIsNotTriedAgain() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        _ = try await log.write([1], time: .zero)
        medium.fail { $0.kind == .sync ? .failed : nil }
        let error = await #expect(throws: LogError.self) { try await log.write([2], time: .zero) }
        #expect(error?.message.contains("/log/log-0-60000") == true)
        medium.fail(where: nil)
        _ = try await log.write([3], time: .zero)
        for seed in 0..<50 as Range<UInt64> {
            let after = medium.restarted().reopened(seed: seed)
            let again = try await FileWriteAheadLog.open("/log", on: after)
            #expect(try await again.readAll() == [[1], [3]])
        }
    }

    @Test func aMediumThatIsReadOnlySaysSo() async throws {
        let medium = SimulatedStorageMedium()
        medium.fail { $0.kind.isChange ? .readOnly : nil }
        let error = await #expect(throws: StorageError.self) {
            try await FileWriteAheadLog.open("/log", on: medium)
        }
        #expect(error?.code == .readOnly)
    }

    @Test func aSecondLogOnTheDirectoryIsRefused() async throws {
        try await TemporaryDirectory.with { directory in
            let log = try await FileWriteAheadLog.open(directory)
            let error = await #expect(throws: LogError.self) {
                try await FileWriteAheadLog.open(directory)
            }
            #expect(error?.code == .locked)
            #expect(error?.message.contains("held by a log of process ") == true)
            #expect(error?.message.contains(directory) == true)
            await log.close()
            let next = try await FileWriteAheadLog.open(directory)
            await next.close()
        }
    }

    @Test func aRecordThatIsTooLongIsRefused() async throws {
        let log = try await FileWriteAheadLog.open(
            "/log", on: SimulatedStorageMedium(), options: .init(recordByteMaximum: 3))
        let error = await #expect(throws: LogError.self) {
            try await log.write([1, 2, 3, 4], time: .zero)
        }
        #expect(error?.code == .recordTooLarge)
        _ = try await log.write([1, 2, 3], time: .zero)
        #expect(try await log.readAll() == [[1, 2, 3]])
    }

    @Test func recordsComeWithTheirTimesInBoundedPieces() async throws {
        let medium = SimulatedStorageMedium()
        let log = try await FileWriteAheadLog.open("/log", on: medium)
        let lengths = [0, 3_000_000, 10, 1_048_552, 1_048_576, 5, 700_000, 700_000, 1]
        for (number, length) in lengths.enumerated() {
            _ = try await log.write(
                [UInt8](repeating: UInt8(number), count: length), time: .seconds(Int64(number) * 9))
        }
        var found: [LogRecord] = []
        for try await record in log.records() {
            #expect(try await log.read(record.handle) == record.bytes)
            found.append(record)
        }
        #expect(found.map(\.bytes.count) == lengths)
        #expect(found.map(\.time) == lengths.indices.map { .seconds(Int64($0) * 9) })
        let longest = medium.operations.filter { $0.kind == .read }.map(\.byteCount).max()
        #expect(longest == 3_000_024)
    }

    @Test func cleaningDuringAReadIsNoDamage() async throws {
        let log = try await FileWriteAheadLog.open(
            "/log", on: SimulatedStorageMedium(), options: .init(closeFileAfterWrite: true))
        for number in 0..<5 {
            _ = try await log.write([UInt8(number)], time: .seconds(Int64(number) * 100))
        }
        var found: [[UInt8]] = []
        for try await record in log.records() {
            found.append(record.bytes)
            try await log.clean(before: .seconds(361))
        }
        #expect(found == [[0], [4]])
    }

    @Test func checksumsAreThoseOfCastagnoli() {
        #expect(Checksum.crc32c(Array("123456789".utf8)) == 0xE306_9283)
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 7 &+ $0) }
        bytes.withUnsafeBytes { bytes in
            for start in 0..<9 {
                for end in start...bytes.count {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                    let before = UInt32(truncatingIfNeeded: end &* 2_654_435_761)
                    let expected = Checksum.crc32cByTable(part, after: before)
                    #expect(Checksum.crc32c(part, after: before) == expected)
                }
            }
        }
        #expect(Checksum.crc32c([]) == 0)
        #expect(Checksum.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(Checksum.crc32c([UInt8](repeating: 255, count: 32)) == 0x62A8_AB43)
        #expect(Checksum.crc32c((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    }

    @Test(arguments: [(0, 1000, 0), (-5, 995, 0), (-10, -5, 2), (.min, .max, 17)])
    func namesAreReadAsTheyAreWritten(_ start: Int64, _ stop: Int64, _ number: Int) {
        let name = SegmentName(start: start, stop: stop, number: number)
        #expect(SegmentName(name.text) == name)
    }
}
