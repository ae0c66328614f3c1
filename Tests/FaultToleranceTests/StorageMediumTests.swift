import BatchEngine
import DStreamTestKit
import FaultTolerance
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite(.timeLimit(.minutes(5))) struct StorageMediumTests {
    @Test("a lock does not follow a symbolic link, whose target it would empty")
    func lockThatIsALink() throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "lock")
        defer { try? FileSystem.removeTree(directory) }
        let target = directory + "/precious"
        try FileSystem.writeAtomically(target, [1, 2, 3], durability: .handedOver)
        #expect(symlink(target, directory + "/lock") == 0)
        let error = #expect(throws: StorageError.self) {
            _ = try FileStorageMedium().lock(directory + "/lock", owner: "a test")
        }
        #expect("\(error as Any)".contains("symbolic link"))
        #expect(try FileSystem.readAll(target) == [1, 2, 3])
    }

    @Test func bothMediaKeepThePromises() throws {
        try checkStorageMedium(SimulatedStorageMedium(), in: "/data")
        try checkStorageMedium(SimulatedStorageMedium(sectorByteCount: 1), in: "data")
        try TemporaryDirectory.with {
            try checkStorageMedium(FileStorageMedium(), in: $0 + "/data")
        }
    }

    @Test func whatIsDurableSurvives() throws {
        for seed in 0..<200 as Range<UInt64> {
            let medium = SimulatedStorageMedium(sectorByteCount: 4)
            try medium.createDirectories("/a/b")
            let file = try medium.open("/a/b/file", .createNew)
            try file.append([1, 2, 3])
            try file.sync()
            try medium.syncDirectory("/a/b")
            try file.append([4, 5, 6, 7, 8, 9])
            let after = medium.reopened(seed: seed)
            #expect(after.contents(of: "/a/b/file")?.starts(with: [1, 2, 3]) == true)
            #expect(throws: StorageError.self) { try medium.list("/a") }
        }
    }

    @Test func whatIsNotDurableMayGo() throws {
        var outcomes = Set<[UInt8]?>()
        for seed in 0..<300 as Range<UInt64> {
            let medium = SimulatedStorageMedium(sectorByteCount: 2)
            let file = try medium.open("/file", .createNew)
            try file.append([1, 2, 3, 4])
            try medium.open("/other", .createNew).sync()
            try medium.rename("/file", to: "/renamed")
            let after = medium.reopened(seed: seed)
            outcomes.insert(after.contents(of: "/renamed"))
            #expect(after.contents(of: "/file") == nil || after.contents(of: "/renamed") == nil)
        }
        // Gone, empty, torn, whole, and with a hole before a part that is right.
        for outcome in [nil, [], [1], [1, 2, 3, 4], [0, 0, 3, 4]] as [[UInt8]?] {
            #expect(outcomes.contains(outcome))
        }
    }

    @Test func aFailedFlushIsNotMadeGoodByALaterOne() throws {
        var kept = 0
        for seed in 0..<100 as Range<UInt64> {
            let medium = SimulatedStorageMedium()
            let file = try medium.open("/file", .createNew)
            try medium.syncDirectory("/")
            try file.append([1])
            medium.fail { $0.kind == .sync ? .failed : nil }
            #expect(throws: StorageError.self) { try file.sync() }
            medium.fail(where: nil)
            try file.sync()
            if medium.reopened(seed: seed).contents(of: "/file") == [1] { kept += 1 }
        }
        #expect((1..<100).contains(kept))
    }

    @Test func operationsFailWhereTold() throws {
        let medium = SimulatedStorageMedium()
        let file = try medium.open("/file", .createNew)
        medium.fail(operation: 2, with: .full)
        let error = #expect(throws: StorageError.self) { try file.append([1, 2, 3, 4]) }
        #expect(error?.code == .full)
        #expect(medium.contents(of: "/file") == [1, 2])
        medium.crash(afterOperation: 3)
        try file.append([3])
        #expect(throws: StorageError.self) { try file.append([4]) }
        #expect(medium.operations.map(\.kind) == [.create, .append, .append])
        #expect(medium.restarted().contents(of: "/file") == [1, 2, 3])
    }

    @Test func errorsNameThePath() throws {
        let error = #expect(throws: StorageError.self) {
            try FileStorageMedium().open("/proc/version/none", .append)
        }
        #expect(error?.path == "/proc/version/none")
        #expect(error?.description.contains("/proc/version/none") == true)
    }
}

/// A directory that is removed afterwards.
enum TemporaryDirectory {
    static func with<Value>(_ body: (String) throws -> Value) throws -> Value {
        let path = try FileSystem.createTemporaryDirectory(prefix: "storage")
        defer { try? FileSystem.removeTree(path) }
        return try body(path)
    }

    static func with<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        let path = try FileSystem.createTemporaryDirectory(prefix: "log")
        defer { try? FileSystem.removeTree(path) }
        return try await body(path)
    }
}
