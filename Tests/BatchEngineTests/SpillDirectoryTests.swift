import BatchEngine
import Testing

/// Directories of spill files go with the program, however it ends.
@Suite struct SpillDirectoryTests {
    @Test("what a program left that was killed goes with the next start, what is in use stays")
    func sweep() throws {
        let base = try FileSystem.createTemporaryDirectory(prefix: "base")
        defer { try? FileSystem.removeTree(base) }
        // As kill -9 leaves it: a directory that nobody has locked.
        let dead = base + "/dstreams-spilled.dead01"
        try FileSystem.createDirectory(dead)
        try FileSystem.writeAtomically(dead + "/block", [1], durability: .handedOver)
        let living = base + "/dstreams-spilled.living"
        try FileSystem.createDirectory(living)
        let lock = try OpenFile(living, .directory)
        #expect(try lock.tryLock())
        let others = ["/dstreams-spill.old001", "/dstreams-spilledover", "/other"].map { base + $0 }
        for other in others { try FileSystem.createDirectory(other) }
        SpillDirectory.sweep(base)
        #expect(!FileSystem.exists(dead))
        for path in others + [living] { #expect(FileSystem.exists(path)) }
    }

    @Test("a directory in use is locked, and goes when it is not needed any more")
    func life() throws {
        let directory = try SpillDirectory()
        #expect(try FileSystem.list(directory.path) == [])
        #expect(try !OpenFile(directory.path, .directory).tryLock())
        directory.remove()
        #expect(!FileSystem.exists(directory.path))
    }
}
