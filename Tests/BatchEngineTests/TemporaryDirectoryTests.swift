import BatchEngine
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Directories for temporary files go with the program, however it ends, and never before.
@Suite(.timeLimit(.minutes(5))) struct TemporaryDirectoryTests {
    private func inDirectory(_ body: (String) throws -> Void) throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "base")
        defer { try? FileSystem.removeTree(base) }
        try body(base)
    }

    @Test(
        "what a program left that was killed goes with the next start, what is in use stays",
        arguments: TemporaryDirectory.Purpose.allCases)
    func sweep(purpose: TemporaryDirectory.Purpose) throws {
        try inDirectory { base in
            // As kill -9 leaves it: a directory that nobody has locked.
            let dead = "\(base)/\(purpose.rawValue).dead01"
            try FileSystem.createDirectory(dead)
            try FileSystem.writeAtomically(dead + "/block", [1], durability: .handedOver)
            let living = try TemporaryDirectory(purpose, in: base)
            let others = ["dstreams-spill.old001", "\(purpose.rawValue)over", "other"].map {
                "\(base)/\($0)"
            }
            for other in others { try FileSystem.createDirectory(other) }
            TemporaryDirectory.sweep(base)
            #expect(!FileSystem.exists(dead))
            for path in others + [living.path] { #expect(FileSystem.exists(path)) }
        }
    }

    @Test("a directory is held by its file alone, as another machine sees it")
    func otherMachine() throws {
        try inDirectory { base in
            // On a shared file system, the lock of a directory holds on one machine only.
            let living = base + "/dstreams-spilled.living"
            try FileSystem.createDirectory(living)
            let lock = try OpenFile(living + "/lock", .lock)
            #expect(try lock.tryLock())
            TemporaryDirectory.sweep(base)
            #expect(FileSystem.exists(living))
        }
    }

    @Test("a directory is held by its own lock alone, when its file was tidied up")
    func withoutFile() throws {
        try inDirectory { base in
            let living = try TemporaryDirectory(.spill, in: base)
            try FileSystem.remove(living.path + "/lock")
            TemporaryDirectory.sweep(base)
            #expect(FileSystem.exists(living.path))
        }
    }

    @Test("directories of other users, and links, are left alone", .enabled(if: geteuid() == 0))
    func otherUsers() throws {
        try inDirectory { base in
            let (others, target) = (base + "/dstreams-spilled.other1", base + "/target")
            for path in [others, target] { try FileSystem.createDirectory(path) }
            #expect(chown(others, 12345, 12345) == 0)
            #expect(symlink(target, base + "/dstreams-spilled.link01") == 0)
            TemporaryDirectory.sweep(base)
            #expect(FileSystem.exists(others) && FileSystem.exists(target))
        }
    }

    @Test("a sweep that meets directories being made leaves each to one of the two")
    func whileMade() async throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "base")
        defer { try? FileSystem.removeTree(base) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let isDone = Locked(false)
            let threads = BlockingThreads()
            group.addTask {
                try await threads.run {
                    while !isDone.withLock({ $0 }) { TemporaryDirectory.sweep(base) }
                }
            }
            try await threads.run {
                defer { isDone.withLock { $0 = true } }
                for _ in 0..<200 {
                    let directory = try TemporaryDirectory(.spill, in: base)
                    try FileSystem.append(
                        directory.path + "/block", [1], durability: .handedOver)
                    directory.remove()
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("a directory in use is locked, and goes when it is not needed any more")
    func life() throws {
        let directory = try TemporaryDirectory(.spill)
        #expect(try FileSystem.list(directory.path) == ["lock"])
        #expect(try !OpenFile(directory.path, .directory).tryLock())
        #expect(try !OpenFile(directory.path + "/lock", .lock).tryLock())
        directory.remove()
        #expect(!FileSystem.exists(directory.path))
    }
}
