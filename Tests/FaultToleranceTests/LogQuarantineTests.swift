import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A log that cannot be read begins anew beside its files, and is not taken for what it was.
@Suite struct LogQuarantineTests {
    private static let directory = "/log"

    /// Writes records into segments of their own; how far the log reaches then.
    private func write(
        _ count: Int, on medium: SimulatedStorageMedium
    ) async throws -> LogPosition {
        let log = try await FileWriteAheadLog.open(
            Self.directory, on: medium, options: .init(rollingInterval: .zero))
        for number in 0..<count {
            _ = try await log.write([UInt8(number)], time: .milliseconds(Int64(number) * 10))
        }
        let end = try #require(log.end)
        await log.close()
        return end
    }

    private func segments(_ medium: SimulatedStorageMedium) throws -> [String] {
        try medium.list(Self.directory).filter { $0.hasPrefix("log-") }
            .map { Self.directory + "/" + $0 }
    }

    private func read(
        _ medium: SimulatedStorageMedium, reliedOn: LogPosition? = nil
    ) async throws -> [[UInt8]] {
        let log = try await FileWriteAheadLog.open(
            Self.directory, on: medium, reliedOn: reliedOn.map { [$0] } ?? [])
        let records = try await log.readAll()
        await log.close()
        return records
    }

    @Test("nothing that relied on the old log is reached, however far the new one grows")
    func notReached() async throws {
        let medium = SimulatedStorageMedium()
        let old = try await write(3, on: medium)
        try medium.remove(try #require(try segments(medium).first))
        await #expect(throws: LogError.self) { try await read(medium) }
        _ = try await FileWriteAheadLog.quarantine(Self.directory, reliedOn: old, on: medium)
        for count in [0, 1, 4, 4] {
            let new = try await write(count, on: medium)
            #expect(new.segment > old.segment)
            let error = await #expect(throws: LogError.self) {
                try await read(medium, reliedOn: old)
            }
            #expect(error?.code == .damaged)
            #expect(try await LogInspection(of: Self.directory, on: medium).reaches(new))
            _ = try await read(medium, reliedOn: new)
        }
        // Also once the first of the new segments have been cleaned.
        let log = try await FileWriteAheadLog.open(Self.directory, on: medium)
        try await log.clean(before: .seconds(10))
        #expect(!log.reaches(old))
        await log.close()
        await #expect(throws: LogError.self) { try await read(medium, reliedOn: old) }
    }

    @Test("a second quarantine leaves the files of the first")
    func twice() async throws {
        let medium = SimulatedStorageMedium()
        var kept: [String: [UInt8]] = [:]
        for round in 0..<3 {
            _ = try await write(2, on: medium)
            let path = try #require(try segments(medium).first)
            var bytes = try #require(medium.contents(of: path))
            bytes[20] ^= 1
            bytes.append(UInt8(round))
            medium.setContents(of: path, to: bytes)
            let count = try segments(medium).count + 1
            let paths = try await FileWriteAheadLog.quarantine(
                Self.directory, reliedOn: nil, on: medium)
            #expect(paths.count == count && paths.allSatisfy { kept[$0] == nil }, "\(paths)")
            for path in paths { kept[path] = medium.contents(of: path) }
            for (path, bytes) in kept { #expect(medium.contents(of: path) == bytes) }
            #expect(try await read(medium).isEmpty)
        }
    }

    @Test("a crash anywhere leaves every byte, and a log that is not reached")
    func crashes() async throws {
        func damaged() async throws -> (SimulatedStorageMedium, LogPosition, Set<[UInt8]>) {
            let medium = SimulatedStorageMedium()
            let end = try await write(3, on: medium)
            try medium.remove(try #require(try segments(medium).first))
            // The marks behind records, too.
            for path in try segments(medium) { try medium.open(path, .append).sync() }
            try medium.syncDirectory(Self.directory)
            return (
                medium, end, Set(try segments(medium).compactMap { medium.contents(of: $0) })
            )
        }
        let (whole, end, _) = try await damaged()
        let first = whole.operations.count
        _ = try await FileWriteAheadLog.quarantine(Self.directory, reliedOn: end, on: whole)
        let changes = whole.operations.dropFirst(first).filter(\.kind.isChange).map(\.number)
        #expect(changes.count > 4)
        for crash in changes {
            for seed in 0..<4 as Range<UInt64> {
                let (medium, end, bytes) = try await damaged()
                medium.crash(afterOperation: crash)
                _ = try? await FileWriteAheadLog.quarantine(
                    Self.directory, reliedOn: end, on: medium)
                let after = medium.reopened(seed: seed)
                await #expect(throws: LogError.self, "\(crash), \(seed)") {
                    try await read(after, reliedOn: end)
                }
                _ = try await FileWriteAheadLog.quarantine(
                    Self.directory, reliedOn: end, on: after)
                let files = try after.list(Self.directory).compactMap {
                    after.contents(of: Self.directory + "/" + $0)
                }
                #expect(bytes.isSubset(of: files), "\(crash), \(seed)")
                #expect(try await read(after).isEmpty)
            }
        }
    }
}
