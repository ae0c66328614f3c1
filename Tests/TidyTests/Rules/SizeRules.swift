let fileLinesMaximum = 500
let functionLinesMaximum = 70

/// Files with more lines than fit a reader's head.
func longFiles(_ tree: SourceTree) -> [Finding] {
    tree.everything.compactMap { file in
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        return count > fileLinesMaximum ? Finding(file, count, "\(count) lines") : nil
    }
}

/// Functions that do not fit on a screen; from `func` to the closing brace.
func longFunctions(_ tree: SourceTree) -> [Finding] {
    tree.everything.flatMap { file in
        FunctionSpan.all(in: file).compactMap { span in
            let count = span.lastLine - span.line + 1
            guard count > functionLinesMaximum else { return nil }
            return Finding(file, span.line, "\(span.name) has \(count) lines")
        }
    }
}

/// Where a function begins and ends.
struct FunctionSpan: Hashable {
    let name: String
    let line: Int
    let lastLine: Int

    /// The functions, initialisers, subscripts and computed properties of a file, nested ones too.
    static func all(in file: SourceFile) -> [FunctionSpan] {
        let code = file.code
        return code.indices.compactMap { index in
            guard let open = body(code, index), let close = code.closing(open) else { return nil }
            let keyword = code[index].text
            let name = keyword == "func" || keyword == "var" ? code[index + 1].text : keyword
            return FunctionSpan(name: name, line: code[index].line, lastLine: code[close].line)
        }
    }

    /// The index of the brace that opens the body of the function declared at `index`.
    private static func body(_ code: [Token], _ index: Int) -> Int? {
        switch code.text(at: index) {
        case "func", "deinit": break
        case "init", "subscript": if code.text(at: index - 1) == "." { return nil }
        case "var": return propertyBody(code, index)
        default: return nil
        }
        var position = index + 1
        while position < code.count {
            switch code.text(at: position) {
            case "{": return position
            case "(", "[":
                guard let close = code.closing(position) else { return nil }
                position = close
            case "}", ";", "#": return nil
            case let word? where declarations.contains(word) && position > index + 1: return nil
            default: break
            }
            position += 1
        }
        return nil
    }

    /// A computed property's brace: on the line of its name, with no value before it.
    private static func propertyBody(_ code: [Token], _ index: Int) -> Int? {
        var position = index + 1
        while position < code.count, code[position].line == code[index].line {
            switch code.text(at: position) {
            case "{": return position
            case "=", "}", ";": return nil
            case "(", "[":
                guard let close = code.closing(position) else { return nil }
                position = close
            default: break
            }
            position += 1
        }
        return nil
    }

    /// What begins another declaration: the one before it, a protocol's requirement, had no body.
    private static let declarations: Set<String> = [
        "func", "var", "let", "init", "deinit", "subscript", "struct", "class", "enum", "actor",
        "protocol", "extension", "typealias", "associatedtype", "import", "case", "static",
        "mutating", "public", "private", "package", "internal", "fileprivate", "open", "override",
    ]
}
