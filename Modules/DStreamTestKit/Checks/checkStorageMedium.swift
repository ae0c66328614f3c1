public import FaultTolerance

/// Checks that a storage medium keeps the promises of `StorageMedium`, as far as no crash is needed.
///
/// - Parameters:
///   - medium: the medium.
///   - directory: a directory that does not exist and whose parent does; it is filled.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the medium threw.
public func checkStorageMedium(_ medium: some StorageMedium, in directory: String) throws {
    try checkDirectories(medium, directory)
    try checkFiles(medium, directory)
    try checkNames(medium, directory)
    try checkLocks(medium, directory)
}

private func checkDirectories(_ medium: some StorageMedium, _ directory: String) throws {
    try expect(.notFound, "list of a directory that is not there") {
        _ = try medium.list(directory)
    }
    try expect(.notFound, "a directory in one that is not there") {
        try medium.createDirectory(directory + "/a")
    }
    try require(try medium.createDirectory(directory), "a new directory is reported as new")
    try require(try !medium.createDirectory(directory), "one that is there is not")
    try medium.createDirectories(directory + "/a/b")
    try medium.createDirectories(directory + "/a/b")
    try require(try medium.list(directory) == ["a"], "a directory lists what is in it alone")
    try require(try medium.list(directory + "/a/b").isEmpty, "a new directory is empty")
}

private func checkFiles(_ medium: some StorageMedium, _ directory: String) throws {
    let path = directory + "/file"
    try expect(.notFound, "reading a file that is not there") { _ = try medium.open(path, .read) }
    try require(try medium.byteCount(of: path) == nil, "a file that is not there has no length")
    let file = try medium.open(path, .createNew)
    try expect(.alreadyThere, "creating it again") { _ = try medium.open(path, .createNew) }
    try file.append([1, 2, 3])
    try file.append([])
    try file.sync()
    try medium.open(path, .append).append([4, 5])
    try require(try medium.byteCount(of: path) == 5, "additions go to the end")
    try require(try file.byteCount() == 5, "an open file sees additions of others")
    try require(try file.read(at: 1, count: 3) == [2, 3, 4], "a part is read where it is")
    try require(try file.read(at: 3, count: 9) == [4, 5], "a read ends with the file")
    try require(try file.read(at: 9, count: 1).isEmpty, "behind the end is nothing")
    try file.truncate(to: 2)
    try file.append([9])
    try file.sync()
    try require(try medium.readAll(path) == [1, 2, 9], "a cut file goes on at its new end")
    try checkLettingGo(medium, directory + "/long")
    try expect(.tooLarge, "reading more than wanted") { _ = try medium.readAll(path, maximum: 2) }
}

/// Bytes that will hardly be read are there all the same, with those that were not said to be.
private func checkLettingGo(_ medium: some StorageMedium, _ path: String) throws {
    let file = try medium.open(path, .createNew)
    var all: [UInt8] = []
    for count in [70_000, 1, 5_000, 200_000, 4_096] {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) }
        try file.append(bytes)
        try file.sync()
        file.willHardlyRead(all.count..<(all.count + count))
        all += bytes
    }
    try file.append([1, 2, 3])
    file.willHardlyRead(0..<all.count)
    try require(try medium.readAll(path) == all + [1, 2, 3], "what is let go of is there")
    _ = try medium.remove(path)
}

private func checkNames(_ medium: some StorageMedium, _ directory: String) throws {
    let (path, target) = (directory + "/file", directory + "/other")
    _ = try medium.open(target, .append)
    let file = try medium.open(path, .read)
    try medium.rename(path, to: target)
    try medium.syncDirectory(directory)
    try require(try medium.readAll(target) == [1, 2, 9], "a rename replaces")
    try require(try medium.byteCount(of: path) == nil, "a renamed file has one name")
    try expect(.notFound, "renaming what is not there") { try medium.rename(path, to: target) }
    try require(try medium.remove(target), "removing a file says so")
    try require(try !medium.remove(target), "removing nothing says so")
    try require(try file.read(at: 0, count: 1) == [1], "who has a removed file open keeps it")
    let removed = try medium.open(target, .createNew)
    try removed.append([1])
    try require(try medium.remove(target), "an open file can be removed")
    try expect(.notFound, "making a removed file durable") { try removed.sync() }
    try medium.replaceFile(path, with: [7])
    try medium.replaceFile(path, with: [8, 9])
    try require(try medium.readAll(path) == [8, 9], "replaceFile replaces")
    try require(try medium.list(directory) == ["a", "file"], "and leaves nothing behind")
}

private func checkLocks(_ medium: some StorageMedium, _ directory: String) throws {
    let path = directory + "/lock"
    let lock = try medium.lock(path, owner: "the first")
    do {
        _ = try medium.lock(path, owner: "the second")
        throw CheckFailure("a lock that is held is refused")
    } catch let error as StorageError where error.code == .locked {
        try require("\(error)".contains("the first"), "the refusal names the owner: \(error)")
    }
    lock.release()
    lock.release()
    let again = try medium.lock(path, owner: "the third")
    lock.release()
    try expect(.locked, "a lock given back twice is not another's") {
        _ = try medium.lock(path, owner: "the fourth")
    }
    again.release()
}

private func expect(
    _ code: StorageError.Code, _ what: String, _ body: () throws -> Void
) throws {
    do {
        try body()
    } catch let error as StorageError {
        try require(error.code == code, "\(what) throws .\(code): \(error)")
        return
    }
    throw CheckFailure("\(what) throws .\(code)")
}
