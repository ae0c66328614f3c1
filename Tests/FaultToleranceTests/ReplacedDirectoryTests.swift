import BatchEngine
import DStreamCore
import FaultTolerance
import Testing

/// A directory is removed or moved under a running program, and another program makes it anew: the
/// first writes nothing into it.
@Suite(.timeLimit(.minutes(5)))
struct ReplacedDirectoryTests {
    enum Change: CaseIterable, Sendable {
        case removed, moved

        func apply(to directory: String) throws {
            switch self {
            case .removed: try FileSystem.removeTree(directory)
            case .moved:
                try FileSystem.rename(directory, to: directory + ".old", durability: .handedOver)
            }
        }
    }

    private let medium = FileStorageMedium()

    private func inDirectory(_ body: (String) async throws -> Void) async throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "replaced")
        defer { try? FileSystem.removeTree(base) }
        try await body(base + "/own")
    }

    private func contents(of directory: String) throws -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        for name in try FileSystem.list(directory) {
            let path = directory + "/" + name
            if try FileSystem.status(path)?.isDirectory == true {
                for (name, bytes) in try self.contents(of: path) { contents[path + name] = bytes }
            } else {
                contents[path] = try FileSystem.readAll(path)
            }
        }
        return contents
    }

    @Test(arguments: Change.allCases)
    func aLogWritesIntoNoOther(_ change: Change) async throws {
        try await inDirectory { directory in
            let options = FileWriteAheadLog.Options(closeFileAfterWrite: true)
            let first = try await FileWriteAheadLog.open(directory, on: medium, options: options)
            _ = try await first.write([1], time: .seconds(1))
            try change.apply(to: directory)
            let second = try await FileWriteAheadLog.open(directory, on: medium)
            _ = try await second.write([2], time: .seconds(1))
            let before = try contents(of: directory)
            for number in 3...5 as ClosedRange<UInt8> {
                await #expect(throws: (any Error).self) {
                    _ = try await first.write([number], time: .seconds(2))
                }
            }
            await first.close()
            #expect(try contents(of: directory) == before)
            await second.close()
            let log = try await FileWriteAheadLog.open(directory, on: medium)
            #expect(try await log.readAll() == [[2]])
            await log.close()
        }
    }

    @Test(arguments: Change.allCases)
    func checkpointsAreWrittenIntoNoOther(_ change: Change) async throws {
        try await inDirectory { directory in
            let record = CheckpointRecord(
                time: .seconds(1), appName: "first", zeroTime: .zero, batchInterval: .seconds(1),
                fingerprint: "f", pendingBatches: [], isCompleted: true)
            let first = try await FileCheckpointStore.open(directory, on: medium)
            try await first.write(record, state: [])
            try change.apply(to: directory)
            let second = try await FileCheckpointStore.open(directory, on: medium)
            let before = try contents(of: directory)
            for _ in 0..<2 {
                await #expect(throws: (any Error).self) { try await first.write(record, state: []) }
            }
            await first.close()
            #expect(try contents(of: directory) == before)
            #expect(try await second.recover() == nil)
            await second.close()
        }
    }
}
