/// Where `Docs/SparkParity.md` and the list of Spark's members disagree.
func parityMembers(_ tree: SourceTree) -> [Finding] {
    let list = "Tests/Fixtures/spark-members.txt"
    guard let document = tree.files.first(where: { $0.path == ParityTable.path }),
        let members = tree.files.first(where: { $0.path == list })
    else { return [Finding(ParityTable.path, 0, "the table or \(list) is missing")] }
    let table = ParityTable(document)
    var open: [[String]: Int] = [:]
    var findings = table.findings
    for row in table.rows {
        if open.updateValue(row.line, forKey: [row.section, row.member]) != nil {
            findings.append(Finding(document, row.line, "\(row.member) is there twice"))
        }
    }
    var section = ""
    for (index, line) in members.lines.enumerated() where !line.isEmpty {
        if line.hasPrefix("# ") {
            section = String(line.dropFirst(2))
        } else if open.removeValue(forKey: [section, String(line)]) == nil {
            findings.append(Finding(members, index + 1, "\(line) is not in the table"))
        }
    }
    findings += open.sorted { $0.value < $1.value }.map { key, line in
        Finding(document, line, "\(key[1]) is no member on the list")
    }
    return findings + parityCounts(table, document)
}

/// The numbers at the top of the page, if they are wrong.
private func parityCounts(_ table: ParityTable, _ document: SourceFile) -> [Finding] {
    func count(_ status: ParityTable.Status) -> Int {
        table.rows.count { $0.status == status }
    }
    let counts =
        "\(table.rows.count) rows: \(count(.done)) done, \(count(.differs)) differ, "
        + "\(count(.later)) later, \(count(.notApplicable)) not applicable"
    return document.text.contains(counts) ? [] : [Finding(document, 1, "it does not say \(counts)")]
}

/// Rows of the table that name what is not declared, or what no test calls.
func parityClaims(_ tree: SourceTree) -> [Finding] {
    guard let document = tree.files.first(where: { $0.path == ParityTable.path }) else { return [] }
    let declarations = Declarations(tree.swift("Modules"))
    let rows = ParityTable(document).rows
    let names = Set(rows.flatMap(\.tests))
    var tests: [String: Set<String>] = [:]
    for file in tree.swift("Tests") where names.contains(file.baseName) {
        for token in file.code where token.kind == .word {
            tests[file.baseName, default: []].insert(token.text)
        }
    }
    return rows.flatMap { row -> [Finding] in
        func finding(_ what: String) -> Finding { Finding(document, row.line, what) }
        guard row.status.isThere else {
            return row.reason.isEmpty ? [finding("\(row.member) has no reason")] : []
        }
        if row.names.isEmpty || row.tests.isEmpty {
            return [finding("\(row.member) lacks a name or a test")]
        }
        var findings = row.tests.filter { tests[$0] == nil }.map { finding("no test \($0)") }
        if row.status == .differs, row.reason.isEmpty {
            findings.append(finding("\(row.member) does not say how it differs"))
        }
        for name in row.names where !name.hasPrefix("Swift.") {
            if !declarations.contain(name) { findings.append(finding("\(name) is not declared")) }
            let word = calledName(name)
            let isCalled = row.tests.contains { tests[$0]?.contains(word) == true }
            if let first = word.first, first.isLetter, !isCalled {
                findings.append(finding("\(row.tests.joined(separator: ", ")): no \(word)"))
            }
        }
        return findings
    }
}

/// What a call of `DStream.map(_:)` has in it: `map`; for an initialiser the type.
private func calledName(_ name: String) -> String {
    let parts = name.prefix { $0 != "(" }.split(separator: ".")
    return String(parts.last == "init" ? parts.dropLast().last ?? "" : parts.last ?? "")
}

/// Configuration keys that are read in another way than the table says.
func parityKeys(_ tree: SourceTree) -> [Finding] {
    let source = "Modules/StreamingContext/SparkKeys.swift"
    guard let document = tree.files.first(where: { $0.path == ParityTable.path }),
        let keys = tree.files.first(where: { $0.path == source })
    else { return [Finding(source, 0, "it is missing")] }
    let prefix = "spark.streaming."
    var (read, ignored, connectors) = (Set<String>(), Set<String>(), Set<String>())
    for index in keys.code.indices {
        guard let key = keys.code.string(at: index), key.hasPrefix(prefix), key != prefix
        else { continue }
        if key.hasSuffix(".") {
            connectors.insert(key)
        } else if keys.code.text(at: index + 1) == ":" || keys.code.text(at: index - 1) == "=" {
            read.insert(key)
        } else {
            ignored.insert(key)
        }
    }
    var findings: [Finding] = []
    for row in ParityTable(document).rows where row.member.hasPrefix(prefix) {
        let isRead = read.remove(row.member) != nil
        let isIgnored =
            ignored.remove(row.member) != nil || connectors.contains(where: row.member.hasPrefix)
        if row.status.isThere ? !isRead : !isIgnored || isRead {
            let how = isRead ? "read" : isIgnored ? "ignored" : "unknown"
            findings.append(Finding(document, row.line, "\(row.member) is \(how)"))
        }
    }
    return findings
        + read.union(ignored).sorted().map { Finding(keys, 1, "\($0) is not in the table") }
}
